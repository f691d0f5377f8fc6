package server

import (
	"bytes"
	"net/netip"
	"time"

	"edgerouter/wire"
)

// Access is one line of the access log. Its slices are valid during the call.
type Access struct {
	Time      time.Time
	App       string
	Client    netip.Addr
	Method    []byte
	Host      []byte
	Target    []byte // as the client sent it
	Protocol  string
	Secure    bool
	Status    int
	Received  int64 // bytes of the request's body
	Sent      int64 // bytes of the response with its head
	Duration  time.Duration
	RequestID []byte
	UserAgent []byte
	Referer   []byte
}

// AccessLog is told of each request after its response, also of those that could
// not be read: these have a time, a client and a status only.
type AccessLog func(*Access)

func (c *conn) logAccess(app string, end int64) {
	x := &c.x
	a := Access{
		Time: time.Now().Add(time.Duration(x.Began - wire.Now())), App: app, Client: c.client,
		Method: x.Head.Method, Host: x.Head.Host, Target: x.Head.Target,
		Protocol: "HTTP/1.1", Secure: c.tls != nil,
		Status: x.Status, Received: x.Body.Total(), Sent: x.Sent,
		Duration: time.Duration(end - x.Began), RequestID: x.RequestID,
		UserAgent: x.Head.Get("user-agent"), Referer: x.Head.Get("referer"),
	}
	if s := c.srv; s.MetricsPath != "" && bytes.HasPrefix(a.Target, []byte(s.MetricsPath)) {
		a.Target = []byte("/***") // who knows the path may read the metrics
	}
	if x.Head.Minor == 0 {
		a.Protocol = "HTTP/1.0"
	}
	c.srv.AccessLog(&a)
}
