package s3

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/rs/zerolog"

	"edgerouter/app"
	"edgerouter/discovery/destination"
	"edgerouter/internal/bucket"
)

// objects is an S3 server with these objects, whose ETags are their lengths and a count.
type objects struct {
	bodies map[string][]byte
	count  int
	read   []string
}

// Do makes it the client of an aws.Config.
func (o *objects) Do(r *http.Request) (*http.Response, error) {
	var body []byte
	status, etag := 200, ""
	if key, ok := strings.CutPrefix(r.URL.Path, "/bucket/"); ok && key != "" {
		if body, ok = o.bodies[key]; !ok {
			status = 404
		}
		etag = o.etag(key)
		o.read = append(o.read, key)
	} else {
		var b bytes.Buffer
		b.WriteString(`<ListBucketResult>`)
		for key := range o.bodies {
			fmt.Fprintf(&b, `<Contents><Key>%s</Key><ETag>%s</ETag><Size>%d</Size></Contents>`, key, o.etag(key), len(o.bodies[key]))
		}
		b.WriteString(`</ListBucketResult>`)
		body = b.Bytes()
	}
	return &http.Response{
		StatusCode: status, Header: http.Header{"Etag": {etag}}, Request: r, ContentLength: int64(len(body)), Body: io.NopCloser(bytes.NewReader(body)),
	}, nil
}

func (o *objects) etag(key string) string { return fmt.Sprintf("%d-%d", o.count, len(o.bodies[key])) }

// FuzzObjects follows a bucket with a good object and one with any bytes: the good one
// stays, the other declares what can be served or is told as a problem, and what it
// declared while it was good stays until it is gone.
func FuzzObjects(f *testing.F) {
	for _, s := range []string{
		definition("other", "https://b"), definition("good", "https://c"), `{"apps":[` + definition("x", "https://x") + `]}`, `{"id":"half`, "", "null", "[]", "\x00",
		definition("other", "https://b") + definition("more", "https://d"), `{"id":"../x"}`, strings.Repeat(" ", destination.MaxObject+1), `{"id":"a","id":"b"}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		server := &objects{bodies: map[string][]byte{
			"discovery/a.json": []byte(definition("good", "https://a")), "discovery/b.json": []byte(definition("before", "https://b")),
			"discovery/": nil, "discovery/sub/": []byte(definition("folder", "https://f")), "elsewhere/c.json": []byte(definition("elsewhere", "https://e")),
		}}
		s := New(bucket.Open(aws.Config{
			Region: "eu-central-1", BaseEndpoint: aws.String("http://s3.invalid"), HTTPClient: server,
			Credentials: credentials.NewStaticCredentialsProvider("a", "b", ""),
			Retryer:     func() aws.Retryer { return aws.NopRetryer{} },
		}, "bucket"), 0, zerolog.Nop())
		look := func(want bool) (ids []string, problems []app.Problem) {
			t.Helper()
			if changed, err := s.look(t.Context()); err != nil || changed != want {
				t.Fatalf("changed is %v, %v", changed, err)
			}
			u := s.update()
			for _, a := range u.Apps {
				ids = append(ids, a.ID)
				if p := a.Validate(); len(p) > 0 {
					t.Errorf("%s cannot be served: %v", a.ID, p)
				}
			}
			return ids, u.Problems
		}
		if ids, problems := look(true); !slices.Equal(ids, []string{"good", "before"}) || len(problems) > 0 {
			t.Fatalf("%q, %v", ids, problems)
		}
		server.count++
		server.bodies["discovery/b.json"] = data
		ids, problems := look(true)
		if len(ids) == 0 || ids[0] != "good" {
			t.Errorf("%q takes the good one away: %q", data, ids)
		}
		if slices.Contains(ids[1:], "before") && len(problems) == 0 && !bytes.Contains(data, []byte("before")) {
			t.Errorf("%q changes nothing, and no problem is told", data)
		}
		slices.Sort(ids)
		if len(slices.Compact(ids)) != len(ids) {
			t.Errorf("%q declares twice: %q", data, ids)
		}
		if again, _ := look(false); len(again) != len(ids) {
			t.Errorf("%q: %q, and then %q", data, ids, again)
		}
		delete(server.bodies, "discovery/b.json")
		if ids, problems := look(true); !slices.Equal(ids, []string{"good"}) || len(problems) > 0 {
			t.Errorf("%q is gone, and left %q, %v", data, ids, problems)
		}
		for _, key := range server.read {
			if key != "discovery/a.json" && key != "discovery/b.json" {
				t.Errorf("%s was read", key)
			}
		}
	})
}
