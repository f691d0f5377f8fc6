package s3site

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"path"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/rs/zerolog"

	"edgerouter/internal/bucket"
	"edgerouter/turbo/cache"
	"edgerouter/turbo/content"
)

// answering is an S3 server that gives one answer, and notes the path of the URL that it
// was asked for.
type answering struct {
	status      int
	contentType string
	body        []byte
	asked       []string
}

// Do makes it the client of an aws.Config.
func (a *answering) Do(r *http.Request) (*http.Response, error) {
	a.asked = append(a.asked, r.URL.Path)
	return &http.Response{
		StatusCode: a.status, Header: http.Header{"Content-Type": {a.contentType}, "Etag": {`"tag"`}}, Request: r,
		ContentLength: int64(len(a.body)), Body: io.NopCloser(bytes.NewReader(a.body)),
	}, nil
}

func newFiles(c *cache.Cache, client aws.HTTPClient) *files {
	f := &files{folder: folder("site", "v1"), cache: c, log: zerolog.Nop(), bucket: bucket.Open(aws.Config{
		Region: "eu-central-1", BaseEndpoint: aws.String("http://s3.invalid"), HTTPClient: client,
		Credentials: credentials.NewStaticCredentialsProvider("a", "b", ""),
		Retryer:     func() aws.Retryer { return aws.NopRetryer{} },
	}, "bucket")}
	f.init()
	return f
}

func fuzzCache(f *testing.F) *cache.Cache {
	c, err := cache.Open(cache.Options{Dir: f.TempDir(), Log: zerolog.Nop()})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(c.Close)
	return c
}

// FuzzFind asks for a path what a server answers in any way: it is asked for nothing
// outside of the version's folder, and only what it gave as a whole is a file.
func FuzzFind(f *testing.F) {
	for _, target := range []string{
		"/index.html", "/a b.txt", "/%2e%2e/secret", "/../secret", "/a/../../x", "/a%2f..%2fb", "/ä?q", "//x", "/a\\..\\b", "/a%00", "/%", "/.", "/a//b", "/a/",
	} {
		for _, status := range []int{200, 206, 301, 403, 404, 500} {
			f.Add([]byte(target), status, "text/css", []byte("body"))
		}
	}
	f.Add([]byte("/x"), 200, "Text/HTML; charset=x\r\nA: b", []byte{})
	c := fuzzCache(f)
	f.Fuzz(func(t *testing.T, target []byte, status int, contentType string, body []byte) {
		if status < 200 || status > 599 {
			return
		}
		asked, ok := content.RequestPath(nil, target)
		if !ok {
			asked = target // it does not come here; nor must it do harm
		}
		name := string(asked)
		server := &answering{status: status, contentType: contentType, body: body}
		known := newFiles(c, server)
		i, found := known.Find(asked)
		for _, p := range server.asked {
			if want := "/bucket/sites/site/v1" + name; p != want || path.Clean(p) != p || content.CheckPath(name) != nil {
				t.Errorf("%q asks for %q", target, p)
			}
		}
		switch {
		case !found:
			if content.CheckPath(name) == nil && status != 403 && status != 404 && !bytes.Contains(body, []byte("<Code>")) {
				t.Errorf("%q is not there with status %d", target, status)
			}
		case i == unavailable:
			if status == 200 {
				t.Errorf("%q cannot be had", target)
			}
		case status >= 300:
			t.Errorf("%q is a file with status %d", target, status)
		default:
			if known.FileID(i) != content.IDOf(body) || known.Path(i) != name || strings.ContainsAny(known.KindOfFile(i).Type(), "\r\n\x00") {
				t.Errorf("%q is %s of type %q", target, known.FileID(i), known.KindOfFile(i).Type())
			}
			if again, ok := known.Find(asked); again != i || !ok || len(server.asked) != 1 {
				t.Errorf("%q is asked for again: %d, %q", target, again, server.asked)
			}
		}
	})
}

// FuzzRecall reads what a process kept of a version: whatever is in the file, what is
// known has good paths, each once; what is noted is read back; and nothing is taken over
// from another version.
func FuzzRecall(f *testing.F) {
	id := content.IDOf([]byte("a")).String()
	first := `{"tag":"one"}` + "\n"
	for _, s := range []string{
		first, first + `{"path":"/a","id":"` + id + `","type":"text/html"}` + "\n" + `{"path":"/a","id":"` + id + `"}` + "\n" + `{"path":"/b","id":"` + id[:20],
		first + `{"path":"/../a","id":"` + id + `"}` + "\n" + `{"path":"/c","id":"` + id + `"}`, `{"tag":""}`, "\x00", "[]\n" + first, "",
		first + `{"tag":"two","path":"/d","id":"` + id + `","type":"\r\nA: b"}` + "\n",
	} {
		f.Add([]byte(s))
	}
	c := fuzzCache(f)
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		kept := newFiles(c, nil)
		kept.recall(dir, "")
		at := kept.index
		write := func() {
			t.Helper()
			if err := os.WriteFile(at, data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		recall := func(tag string, want bool) *files {
			t.Helper()
			r := newFiles(c, nil)
			if r.recall(dir, tag) != want {
				t.Fatalf("%q: with the tag %q it is not %v", data, tag, want)
			}
			for i := 1; i < r.Len(); i++ {
				if content.CheckPath(r.Path(i)) != nil || r.known[r.Path(i)] != i || strings.ContainsAny(r.KindOfFile(i).Type(), "\r\n\x00") {
					t.Errorf("%q: file %d is %q", data, i, r.Path(i))
				}
			}
			if len(r.known) != r.Len()-1 {
				t.Errorf("%q: %d paths of %d files", data, len(r.known), r.Len()-1)
			}
			return r
		}
		write()
		if r := newFiles(c, nil); r.recall(dir, "one") {
			before := recall("one", true)
			if err := before.note(indexed{Path: "/new/path", ID: id, Type: "text/css"}); err != nil {
				t.Fatal(err)
			}
			after := recall("one", true)
			if after.known["/new/path"] == 0 {
				t.Errorf("%q: what was noted is not known", data)
			}
			for p, i := range before.known {
				if j := after.known[p]; j == 0 || after.FileID(j) != before.FileID(i) {
					t.Errorf("%q: %q is lost", data, p)
				}
			}
		}
		write()
		if n := recall("another version", true).Len(); n != 1 && !bytes.Contains(data, []byte("another version")) {
			t.Errorf("%q: %d files are known of another version", data, n-1)
		}
	})
}

// FuzzVersion: what is let pass as the name of a version is one part of a key.
func FuzzVersion(f *testing.F) {
	for _, s := range []string{"v1", "2026-11-22", "..", ".", "a/b", `a\b`, "v1\n", "", "%2e", "v1.deployment.json", "ä", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, v string) {
		if checkVersion(v) != nil {
			return
		}
		if below := path.Clean(folder("site", v)); below != "sites/site/"+v || path.Dir(below) != "sites/site" || path.Clean(recordKey("site", v)) != recordKey("site", v) {
			t.Errorf("%q is deployed to %q", v, below)
		}
	})
}
