package s3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"edgerouter/app"
	"edgerouter/discovery"
	"edgerouter/discovery/destination"
	"edgerouter/internal/bucket"
	"edgerouter/internal/s3test"
)

func definition(id, to string) string {
	return fmt.Sprintf(`{"id":%q,"frontends":[{"kind":"hostname","hostname":"%s.example"}],"backend":{"kind":"redirect","redirect_opts":{"to":%q}}}`, id, id, to)
}

func application(t *testing.T, id, to string) app.Application {
	t.Helper()
	apps, problems := app.Decode("test", []byte(definition(id, to)))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return apps[0]
}

func TestSource(t *testing.T) {
	server := s3test.Start(t, "apps")
	b := bucket.Open(server.Config, "apps")
	put := func(key, data string) {
		t.Helper()
		err := b.Put(t.Context(), key, bucket.Object{Body: bytes.NewReader([]byte(data)), Size: int64(len(data))})
		if err != nil {
			t.Fatal(err)
		}
	}
	updates := make(chan discovery.Update, 100)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = New(b, 30*time.Millisecond, zerolog.Nop()).Run(ctx, func(u discovery.Update) { updates <- u })
	}()
	next := func() discovery.Update {
		t.Helper()
		select {
		case u := <-updates:
			return u
		case <-time.After(20 * time.Second):
			t.Fatal("no update in 20 s")
			panic("")
		}
	}
	if u := next(); u.Err != nil || u.Apps == nil || len(u.Apps) != 0 {
		t.Errorf("an empty bucket: %+v", u)
	}
	put("elsewhere.json", definition("elsewhere", "https://x.example"))
	put("discovery/a.json", definition("a", "https://one.example"))
	if u := next(); len(u.Apps) != 1 || u.Apps[0].ID != "a" {
		t.Errorf("one application: %+v", u)
	}
	put("discovery/b.json", definition("a", "https://twice.example"))
	if u := next(); len(u.Apps) != 1 || len(u.Problems) != 1 || !strings.Contains(u.Problems[0].Error(), "discovery/b.json") {
		t.Errorf("the same id twice: %+v", u)
	}
	put("discovery/b.json", definition("b", "https://two.example"))
	if u := next(); len(u.Apps) != 2 || len(u.Problems) != 0 {
		t.Errorf("two: %+v", u)
	}
	put("discovery/b.json", `{"id":"b"`)
	if u := next(); len(u.Apps) != 2 || len(u.Problems) != 1 {
		t.Errorf("a broken one: %+v", u)
	}
	if err := b.Delete(t.Context(), "discovery/a.json"); err != nil {
		t.Fatal(err)
	}
	if u := next(); len(u.Apps) != 1 || u.Apps[0].ID != "b" {
		t.Errorf("one is gone: %+v", u)
	}
	server.Stop()
	if u := next(); u.Err == nil {
		t.Errorf("S3 is down: %+v", u)
	}
	cancel()
	<-done
}

func TestDestinations(t *testing.T) {
	test := func(t *testing.T, d destination.Destination) {
		ctx := t.Context()
		ids := func() []string {
			t.Helper()
			apps, err := d.List(ctx)
			if err != nil {
				t.Fatal(err)
			}
			var ids []string
			for _, a := range apps {
				ids = append(ids, a.ID)
			}
			slices.Sort(ids)
			return ids
		}
		if got := ids(); len(got) != 0 {
			t.Errorf("at first: %q", got)
		}
		for _, a := range []app.Application{application(t, "a", "https://a.example"), application(t, "b", "https://b.example"), application(t, "a", "https://c.example")} {
			if err := d.Put(ctx, a); err != nil {
				t.Fatal(err)
			}
		}
		if got := ids(); !slices.Equal(got, []string{"a", "b"}) {
			t.Errorf("after three: %q", got)
		}
		if a, err := destination.Get(ctx, d, "a"); err != nil || a.Backend.Redirect.To != "https://c.example" {
			t.Errorf("%+v, %v", a, err)
		}
		bad := application(t, "c", "https://c.example")
		bad.Frontends = nil
		if err := d.Put(ctx, bad); err == nil {
			t.Error("a definition without frontends was written")
		}
		if err := d.Remove(ctx, "a"); err != nil {
			t.Fatal(err)
		}
		if err := d.Remove(ctx, "a"); !errors.Is(err, destination.ErrNotFound) {
			t.Errorf("removed twice: %v", err)
		}
		if _, err := destination.Get(ctx, d, "a"); !errors.Is(err, destination.ErrNotFound) {
			t.Errorf("got after it was removed: %v", err)
		}
		if got := ids(); !slices.Equal(got, []string{"b"}) {
			t.Errorf("at last: %q", got)
		}
	}
	open := func(t *testing.T, to string, b *bucket.Bucket) destination.Destination {
		t.Helper()
		d, err := destination.Open(t.Context(), to, func(context.Context, string, string) (*bucket.Bucket, error) { return b, nil })
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	t.Run("file", func(t *testing.T) { test(t, open(t, "file:"+filepath.Join(t.TempDir(), "apps.json"), nil)) })
	t.Run("folder", func(t *testing.T) { test(t, open(t, "file:"+t.TempDir(), nil)) })
	t.Run("broken file", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "apps.json")
		if err := os.WriteFile(path, []byte(`{"apps":[{`), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := open(t, "file:"+path, nil).Put(t.Context(), application(t, "a", "https://a.example")); err == nil {
			t.Error("a broken file was written over")
		}
	})
	t.Run("bucket", func(t *testing.T) {
		server := s3test.Start(t, "apps")
		test(t, open(t, "s3://eu-central-1/apps", bucket.Open(server.Config, "apps")))
	})
	for _, bad := range []string{"", "apps.json", "file:", "s3://x", "http://x/y"} {
		if _, err := destination.Open(t.Context(), bad, nil); err == nil {
			t.Errorf("%q is a destination", bad)
		}
	}
}
