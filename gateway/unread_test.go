package gateway

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/rs/zerolog"

	"edgerouter/auth"
	"edgerouter/internal/lambdaservice"
	"edgerouter/internal/testkit"
	"edgerouter/lambda"
	"edgerouter/metrics"
	"edgerouter/server"
	"edgerouter/turbo"
	"edgerouter/turbo/cache"
	"edgerouter/turbo/store"
	"edgerouter/upstream"
)

// bodyBed is a server in front of peers that answer at any moment of a body, with
// whatever an application can put between the two.
type bodyBed struct {
	t           *testing.T
	g           *Gateway
	plain, tls  string // addresses
	client      *tls.Config
	hosts       []string
	peer        string // address of the peer of HTTP/1.1
	definitions string

	mu   sync.Mutex
	seen map[string]int // by path: how often a peer got it
}

// bodyMiddlewares are what a body may have to get past, by application.
var bodyMiddlewares = map[string]string{
	"bare":     `[]`,
	"headers":  `[{"kind":"headers","headers_opts":{"response":{"X":"y"}}}]`,
	"compress": `[{"kind":"compress"}]`,
	"retry":    `[{"kind":"retry","retry_opts":{"attempts":1}}]`,
	"inflight": `[{"kind":"in_flight","in_flight_opts":{"amount":1000}}]`,
	"limited":  `[{"kind":"max_request_body","max_request_body_opts":{"bytes":90000}}]`,
	"guarded":  `[{"kind":"basic_auth","basic_auth_opts":{"users":["bob:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M="]}}]`,
	"moved":    `[{"kind":"redirect_regex","redirect_regex_opts":{"regexp":"/","replacement":"/b"}}]`,
	"chain":    `[{"kind":"chain","chain_opts":{"middlewares":[{"kind":"headers","headers_opts":{"response":{"X":"y"}}},{"kind":"compress"}]}}]`,
}

func newBodyBed(t *testing.T) *bodyBed {
	b := &bodyBed{t: t, seen: map[string]int{}}
	b.peer = b.startPeer()
	h2 := b.startH2Peer()
	service, err := lambdaservice.Start(lambdaservice.Options{}, lambdaservice.Function{
		Name: "f", Handler: func(_ context.Context, _ []byte, out *lambdaservice.Output) error {
			_, err := out.Write([]byte(`{"statusCode":200,"body":"from the function"}`))
			return err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(service.Close)
	st, err := store.OpenFolder(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	c, err := cache.Open(cache.Options{Dir: t.TempDir(), Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	engine := turbo.New(st, c, zerolog.Nop())
	ms := metrics.NewSet()
	kinds := Standard{
		Turbo: engine, Upstream: upstream.Deps{Log: zerolog.Nop(), Stats: &upstream.Stats{}}, Auth: auth.V0Deps{Resolve: testResolve},
		Lambda: lambda.NewService(lambda.Deps{Log: zerolog.Nop(), Metrics: ms, Config: func(context.Context) (aws.Config, error) {
			return aws.Config{BaseEndpoint: &service.URL, Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
				return aws.Credentials{AccessKeyID: lambdaservice.AccessKeyID, SecretAccessKey: lambdaservice.SecretAccessKey}, nil
			})}, nil
		}}),
	}
	b.g = New(Options{Builders: kinds.Builders(), Middlewares: kinds.Middlewares(), Metrics: ms, Log: zerolog.Nop(), Grace: time.Second})
	var defs []string
	add := func(id, middlewares, backend string) {
		b.hosts = append(b.hosts, id+".example.com")
		defs = append(defs, `{"id":"`+id+`","frontends":[{"kind":"hostname","hostname":"`+id+`.example.com","allow_insecure_http":true}],"middlewares":`+middlewares+`,"backend":`+backend+`}`)
	}
	set := func(peer, more string) string {
		return `{"kind":"peer_set","peer_set_opts":{"addrs":["` + peer + `"],"passive_health":{"failures":100000}` + more + `}}`
	}
	for id, m := range bodyMiddlewares {
		add(id, m, set(b.peer, ""))
		add("h2-"+id, m, set(h2, ""))
	}
	add("cached", `[]`, set(b.peer, `,"caching":{"enabled":true}`))
	add("taken", `[]`, set(b.peer, `,"turbocharger":"on"`))
	add("small", `[]`, set(b.peer, `,"max_request_body":80000`))
	add("function", `[]`, `{"kind":"aws_lambda","aws_lambda_opts":{"function_name":"f","region_id":"eu-central-1"}}`)
	add("metrics", `[]`, `{"kind":"prom_metrics"}`)
	add("redirect", `[]`, `{"kind":"redirect","redirect_opts":{"to":"https://example.org/"}}`)
	add("nobody", `[]`, set("http://127.0.0.1:1", ""))
	b.hosts = append(b.hosts, "unknown.example.com")
	b.definitions = strings.Join(defs, ",")
	b.apply(0)

	trusted, client := testkit.TLS(t, "example.com")
	b.client = client
	log := &testkit.Buffer{}
	s := server.New(server.Config{Lookup: b.g.Lookup, Unmatched: ms.App("none"), Log: zerolog.New(log).Level(zerolog.ErrorLevel), TLS: trusted})
	var done sync.WaitGroup
	listen := func(secure bool) string {
		l, err := server.Listen("127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		done.Go(func() { _ = s.Serve(l, secure) })
		return l.Addr().String()
	}
	b.plain, b.tls = listen(false), listen(true)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		s.Shutdown(ctx, 0)
		done.Wait()
		if s := log.String(); s != "" {
			t.Errorf("the server logged: %.2000s", s)
		}
		b.g.Close()
		engine.Close()
		c.Close()
	})
	return b
}

// apply puts the applications into service, with one more that differs by n.
func (b *bodyBed) apply(n int) {
	sets := decode(b.t, b.definitions, `{"id":"changing","frontends":[{"kind":"hostname","hostname":"changing.example.com"}],"backend":{"kind":"redirect","redirect_opts":{"to":"https://example.org/`+strconv.Itoa(n)+`"}}}`)
	b.g.Apply(sets)
}

func (b *bodyBed) note(path string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.seen[path]++
}

// startPeer answers after so many bytes of a body as the query says.
func (b *bodyBed) startPeer() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				in := bufio.NewReader(c)
				for b.answerOn(c, in) {
				}
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

func (b *bodyBed) answerOn(c net.Conn, in *bufio.Reader) bool {
	req, err := http.ReadRequest(in)
	if err != nil {
		return false
	}
	b.note(req.URL.Path)
	q := req.URL.Query()
	_, _ = io.CopyN(io.Discard, req.Body, number(q, "read"))
	status, size := number(q, "status"), number(q, "size")
	if req.Method == "HEAD" || status == 204 || status == 304 {
		fmt.Fprintf(c, "HTTP/1.1 %d X\r\nContent-Type: text/plain\r\n\r\n", status)
	} else if q.Get("chunked") != "" {
		fmt.Fprintf(c, "HTTP/1.1 %d X\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n", status, size+1)
		_, _ = io.WriteString(c, strings.Repeat("r", int(size)+1))
		_, _ = io.WriteString(c, "\r\n0\r\n\r\n")
	} else {
		fmt.Fprintf(c, "HTTP/1.1 %d X\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s", status, size, strings.Repeat("r", int(size)))
	}
	if q.Get("close") == "" {
		if _, err := io.Copy(io.Discard, req.Body); err == nil {
			return true
		}
	}
	_ = c.(*net.TCPConn).CloseWrite() // to close at once would be a reset
	_, _ = io.Copy(io.Discard, c)
	return false
}

func (b *bodyBed) startH2Peer() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.t.Fatal(err)
	}
	s := &http.Server{Protocols: new(http.Protocols), Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		b.note(req.URL.Path)
		q := req.URL.Query()
		_, _ = io.CopyN(io.Discard, req.Body, number(q, "read"))
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(int(number(q, "status")))
		_, _ = io.WriteString(w, strings.Repeat("r", int(number(q, "size"))))
	})}
	s.Protocols.SetUnencryptedHTTP2(true)
	go func() { _ = s.Serve(l) }()
	b.t.Cleanup(func() { s.Close() })
	return "h2c://" + l.Addr().String()
}

func number(q url.Values, name string) int64 {
	n, _ := strconv.ParseInt(q.Get(name), 10, 64)
	return n
}

// outgoing is one request of a random client.
type outgoing struct {
	method, path string
	bytes        []byte // head and body, framed
	end          bool   // it says that the connection shall end
}

const smuggledRequest = "GET /smuggled HTTP/1.1\r\nHost: bare.example.com\r\n\r\n"

var requestIDs atomic.Int64

// randomRequest makes a request whose body is made of requests.
func (b *bodyBed) randomRequest(r *rand.Rand) outgoing {
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	o := outgoing{method: pick("POST", "POST", "PUT", "PATCH", "GET", "HEAD", "DELETE"), path: fmt.Sprintf("/r%d", requestIDs.Add(1))}
	size := []int{0, 1, 300, 5000, 60_000, 70_000, 200_000, 300_000, 1_500_000}[r.IntN(9)]
	if size > 0 {
		size += r.IntN(size)
	}
	query := fmt.Sprintf("?status=%s&read=%d&size=%d", pick("200", "200", "201", "204", "302", "401", "404", "413", "500"), r.IntN(size+1)*r.IntN(2), []int{0, 2, 30_000, 400_000}[r.IntN(4)])
	if r.IntN(3) == 0 {
		query += "&chunked=1"
	}
	if r.IntN(6) == 0 {
		query += "&close=1"
	}
	host := b.hosts[r.IntN(len(b.hosts))]
	head := o.method + " " + o.path + query + " HTTP/1.1\r\nHost: " + host + "\r\nAccept-Encoding: gzip\r\n"
	if r.IntN(8) == 0 {
		head += "Expect: 100-continue\r\n" // and does not wait: RFC 9110 section 10.1.1 lets it
	}
	if r.IntN(20) == 0 {
		head, o.end = head+"Connection: close\r\n", true
	}
	body := strings.Repeat(smuggledRequest, size/len(smuggledRequest)+1)[:size]
	if r.IntN(2) == 0 {
		o.bytes = []byte(head + "Content-Length: " + strconv.Itoa(size) + "\r\n\r\n" + body)
		return o
	}
	var chunks strings.Builder
	for len(body) > 0 {
		n := min(1+r.IntN(100_000), len(body))
		if r.IntN(2) == 0 {
			n = min(1+r.IntN(500), len(body))
		}
		fmt.Fprintf(&chunks, "%x%s\r\n%s\r\n", n, pick("", "", ";a=b"), body[:n])
		body = body[n:]
		if chunks.Len() > 4_000_000 {
			break
		}
	}
	trailers := pick("", "", "GET: /smuggled HTTP/1.1\r\n", "A: b\r\n")
	if strings.HasPrefix(host, "h2-") {
		trailers = "" // when they come after a response, net/http's server ends the connection with all its streams
	}
	o.bytes = []byte(head + "Transfer-Encoding: chunked\r\n\r\n" + chunks.String() + "0\r\n" + trailers + "\r\n")
	return o
}

// converse sends requests on one connection, whose answers it reads meanwhile,
// and checks that each answer is one of these. abort: it leaves in the middle.
func (b *bodyBed) converse(r *rand.Rand, abort bool) error {
	var c net.Conn
	var err error
	if r.IntN(2) == 0 {
		c, err = tls.Dial("tcp", b.tls, b.client)
	} else {
		c, err = net.Dial("tcp", b.plain)
	}
	if err != nil {
		return err
	}
	began := time.Now()
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	requests := make([]outgoing, 1+r.IntN(4))
	for i := range requests {
		if requests[i] = b.randomRequest(r); requests[i].end {
			requests = requests[:i+1] // RFC 9112 section 9.6
			break
		}
	}
	waits, pieces := r.IntN(2) == 0, r.IntN(2) == 0
	seed := r.Uint64()
	answered := make(chan struct{}, len(requests))
	over := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() {
		w := rand.New(rand.NewPCG(seed, 1))
		for i, o := range requests {
			if i > 0 && waits {
				select {
				case <-answered:
				case <-over:
					return
				}
			}
			for rest := o.bytes; len(rest) > 0; {
				n := len(rest)
				if pieces {
					n = min(n, 1+w.IntN(60_000))
				}
				if abort && w.IntN(8) == 0 {
					c.Close()
					return
				}
				if _, err := c.Write(rest[:n]); err != nil {
					return
				}
				rest = rest[n:]
			}
		}
	})
	defer writer.Wait()
	defer close(over)
	defer c.Close()
	in := bufio.NewReader(c)
	for i, o := range requests {
		res, err := http.ReadResponse(in, &http.Request{Method: o.method})
		for err == nil && res.StatusCode == 100 {
			res, err = http.ReadResponse(in, &http.Request{Method: o.method})
		}
		if err == nil {
			_, err = io.Copy(io.Discard, res.Body)
		}
		if err != nil {
			// A body that goes beyond max_request_body in the moment in which its answer
			// begins breaks the connection, rarely; its answer should come whole.
			if abort || errors.Is(err, syscall.ECONNRESET) && bytes.Contains(o.bytes, []byte("Host: small.")) && len(o.bytes) > 80000 {
				return nil
			}
			return fmt.Errorf("answer %d of %d, to %.150q: %w", i+1, len(requests), o.bytes, err)
		}
		switch res.StatusCode {
		case 400, 408, 414, 431, 501, 505:
			if !abort {
				return fmt.Errorf("answer %d, to %.150q: %d", i+1, o.bytes, res.StatusCode)
			}
		}
		if res.Close {
			break // what was sent behind it is not answered, as it was told
		}
		answered <- struct{}{}
		if i == len(requests)-1 && !abort {
			if err := b.nothingFollows(c, in); err != nil {
				return fmt.Errorf("after %v, and the answer %d to %.150q: %w", time.Since(began), res.StatusCode, o.bytes, err)
			}
			return nil
		}
	}
	if !abort {
		if n, err := io.Copy(io.Discard, in); n > 0 {
			return fmt.Errorf("%d bytes follow the last answer (%v)", n, err)
		}
	}
	return nil
}

// nothingFollows has a further request answered, and so checks that there is no
// answer more than there are requests.
func (b *bodyBed) nothingFollows(c net.Conn, in *bufio.Reader) error {
	const last = "GET /last HTTP/1.1\r\nHost: unknown.example.com\r\nConnection: close\r\n\r\n"
	if _, err := io.WriteString(c, last); err != nil {
		return err
	}
	res, err := http.ReadResponse(in, nil)
	if err != nil {
		return err
	}
	n, err := io.Copy(io.Discard, res.Body)
	if res.StatusCode != 404 || !res.Close || err != nil {
		return fmt.Errorf("%d with %d bytes, %v", res.StatusCode, n, err)
	}
	if n, _ := io.Copy(io.Discard, in); n > 0 {
		return errors.New("there is one answer more than there are requests")
	}
	return nil
}

// checkSeen checks that peers got what clients sent as requests, and nothing else.
func (b *bodyBed) checkSeen() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for path, n := range b.seen {
		if !strings.HasPrefix(path, "/r") && !strings.HasPrefix(path, "/br") {
			b.t.Errorf("%q reached a peer as a request", path)
		}
		if n > 2 { // an idempotent request may be sent again, once
			b.t.Errorf("%s reached a peer %d times", path, n)
		}
	}
	clear(b.seen)
}

// TestUnreadBodies: whatever the framing, the size, the moment of the answer, its
// status and what stands between: there are as many answers as requests, nothing
// of a body reaches a peer as a request, and no honest client loses an answer.
// EDGEROUTER_TEST_UNREAD is how long it goes on (10m), EDGEROUTER_TEST_SEED where
// it begins.
func TestUnreadBodies(t *testing.T) {
	b := newBodyBed(t)
	most, rounds := 10*time.Second, 20
	if testkit.IsLong() {
		most, rounds = 10*time.Minute, 1<<30
	}
	if d, err := time.ParseDuration(os.Getenv("EDGEROUTER_TEST_UNREAD")); err == nil {
		most, rounds = d, 1<<30
	}
	seed := rand.Uint64()
	if s, err := strconv.ParseUint(os.Getenv("EDGEROUTER_TEST_SEED"), 10, 64); err == nil {
		seed = s
	}
	t.Logf("seed %d", seed)
	until := time.Now().Add(most)
	var all sync.WaitGroup
	var done atomic.Int64
	for worker := range uint64(4) {
		all.Go(func() {
			for i := uint64(0); i < uint64(rounds) && time.Now().Before(until) && !t.Failed(); i++ {
				r := rand.New(rand.NewPCG(seed+worker, i))
				if err := b.converse(r, i%16 == 15); err != nil {
					t.Errorf("seed %d, conversation %d: %v", seed+worker, i, err)
				}
				if done.Add(1)%1024 == 0 {
					b.checkSeen()
				}
			}
		})
	}
	all.Wait()
	b.checkSeen()
	t.Logf("%d conversations", done.Load())
}
