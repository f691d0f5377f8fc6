// Package remote is the event log through the API of a running node
// (/api/v1/log). It needs the admin token, because what it reads has the secrets
// of definitions in it.
package remote

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"edgerouter/bus"
)

// maxAnswer bounds what is read of an answer: entries of MaxEntry, escaped.
const maxAnswer = 64 << 20

// maxPage is how many entries are asked for at once.
const maxPage = 1000

// Log is the log of a node. It implements bus.Log.
type Log struct {
	base   *url.URL
	token  string
	client *http.Client
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	closed atomic.Bool
}

// New makes a Log of the node whose admin listener is at server, such as
// http://127.0.0.1:9090. Nothing is asked yet.
func New(server, token string) (*Log, error) {
	base, err := url.Parse(server)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, fmt.Errorf("--server %q: want a URL such as http://127.0.0.1:9090", server)
	}
	l := &Log{base: base.JoinPath("api/v1/log"), token: token, client: &http.Client{Timeout: time.Minute}}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	return l, nil
}

// Append implements bus.Log.
func (l *Log) Append(ctx context.Context, stream string, events ...string) (bus.Cursor, error) {
	return l.append(ctx, Append{Stream: stream, Events: events})
}

// AppendAfter implements bus.Log.
func (l *Log) AppendAfter(ctx context.Context, after bus.Cursor, events ...string) (bus.Cursor, error) {
	return l.append(ctx, Append{Stream: after.Stream, After: &after.Version, Events: events})
}

func (l *Log) append(ctx context.Context, a Append) (bus.Cursor, error) {
	if err := bus.CheckAppend(a.Stream, a.Events); err != nil {
		return bus.Cursor{}, err
	}
	body, err := json.Marshal(a)
	if err != nil {
		return bus.Cursor{}, err
	}
	var answer Position
	if err := l.ask(ctx, http.MethodPost, "", nil, body, &answer); err != nil {
		return bus.Cursor{}, a.told(err)
	}
	return bus.Cursor{Stream: a.Stream, Version: answer.Version}, nil
}

// told makes an answer's conflict the error of this append.
func (a Append) told(err error) error {
	var e *answerError
	if errors.As(err, &e) && e.Kind == KindConflict && a.After != nil {
		c := &bus.ConflictError{After: bus.Cursor{Stream: a.Stream, Version: *a.After}, Last: -1}
		if e.Last != nil {
			c.Last = *e.Last
		}
		return c
	}
	return err
}

// Read implements bus.Log.
func (l *Log) Read(ctx context.Context, after bus.Cursor, limit int) ([]bus.Entry, error) {
	if err := bus.CheckStream(after.Stream); err != nil {
		return nil, err
	}
	var all []bus.Entry
	for len(all) < limit {
		q := query(after)
		want := min(limit-len(all), maxPage)
		q.Set("limit", strconv.Itoa(want))
		var answer Entries
		if err := l.ask(ctx, http.MethodGet, "", q, nil, &answer); err != nil {
			return nil, err
		}
		for i := range answer.Entries {
			answer.Entries[i].Stream = after.Stream
		}
		all = append(all, answer.Entries...)
		if !answer.More || len(answer.Entries) == 0 {
			break
		}
		after = all[len(all)-1].Cursor
	}
	return all, nil
}

// Last implements bus.Log.
func (l *Log) Last(ctx context.Context, stream string) (bus.Cursor, error) {
	if err := bus.CheckStream(stream); err != nil {
		return bus.Cursor{}, err
	}
	var answer Position
	if err := l.ask(ctx, http.MethodGet, "last", url.Values{"stream": {stream}}, nil, &answer); err != nil {
		return bus.Cursor{}, err
	}
	return bus.Cursor{Stream: stream, Version: answer.Version}, nil
}

// Wait implements bus.Log; the node waits.
func (l *Log) Wait(ctx context.Context, after bus.Cursor) error {
	err := l.ask(ctx, http.MethodGet, "wait", query(after), nil, new(struct{}))
	switch {
	case l.closed.Load():
		return bus.ErrClosed
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return err
}

// Close implements bus.Log.
func (l *Log) Close() error {
	l.closed.Store(true)
	l.cancel()
	l.client.CloseIdleConnections()
	return nil
}

func query(after bus.Cursor) url.Values {
	return url.Values{"stream": {after.Stream}, "after": {strconv.FormatInt(after.Version, 10)}}
}

// ask sends a question and decodes the answer into v.
func (l *Log) ask(ctx context.Context, method, path string, q url.Values, body []byte, v any) error {
	if l.closed.Load() {
		return bus.ErrClosed
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(l.ctx, cancel)()
	u := l.base.JoinPath(path)
	u.RawQuery = q.Encode()
	req, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("asking %s: %w", l.base.Host, err)
	}
	if l.token != "" {
		req.Header.Set("Authorization", "Bearer "+l.token)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := l.client.Do(req)
	if err != nil {
		return l.unanswered(method, err)
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return l.unanswered(method, err)
	}
	if resp.StatusCode != http.StatusOK {
		return l.refused(resp.StatusCode, content)
	}
	if err := json.Unmarshal(content, v); err != nil {
		return fmt.Errorf("the answer of %s is not that of an edgerouter: %w", l.base.Host, err)
	}
	return nil
}

// unanswered: an append that got no answer may be in the log.
func (l *Log) unanswered(method string, err error) error {
	err = fmt.Errorf("%w: asking the node at %s (--server): %w; is it running?", bus.ErrUnavailable, l.base.Host, err)
	if method == http.MethodPost && !strings.Contains(err.Error(), "connection refused") {
		err = fmt.Errorf("%w: %w", bus.ErrUnacknowledged, err)
	}
	return err
}

func (l *Log) refused(code int, content []byte) error {
	e := &answerError{}
	if json.Unmarshal(content, &e.Failure) != nil || e.Text == "" {
		text, _, _ := strings.Cut(string(content[:min(200, len(content))]), "\n")
		e.Text = text
	}
	e.text = fmt.Sprintf("the node at %s answered %d: %s", l.base.Host, code, e.Text)
	if code == http.StatusUnauthorized {
		e.text += "; give the admin token with --token-file"
	}
	return e
}

// answerError is a refusal of the node.
type answerError struct {
	Failure
	text string
}

func (e *answerError) Error() string { return e.text }

// Unwrap tells the error of bus that it stands for.
func (e *answerError) Unwrap() []error { return e.Kind.errors() }
