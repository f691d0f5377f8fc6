package lambda

import (
	"encoding/base64"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestTrace(t *testing.T) {
	const xray = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
	const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	fresh := regexp.MustCompile(`^Root=1-5ebe2eb5-[0-9a-f]{24}$`)
	for _, c := range []struct{ name, header, traceparent, want string }{
		{"X-Ray's own", xray, parent, xray},
		{"from traceparent", "", parent, "Root=1-4bf92f35-77b34da6a3ce929d0e0e4736;Parent=00f067aa0ba902b7;Sampled=1"},
		{"not sampled", "", parent[:53] + "00", "Root=1-4bf92f35-77b34da6a3ce929d0e0e4736;Parent=00f067aa0ba902b7;Sampled=0"},
		{"later version", "", "01" + parent[2:] + "-more", "Root=1-4bf92f35-77b34da6a3ce929d0e0e4736;Parent=00f067aa0ba902b7;Sampled=1"},
		{"none", "", "", ""},
		{"upper case", "", "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", ""},
		{"zeros", "", "00-00000000000000000000000000000000-00f067aa0ba902b7-01", ""},
		{"version ff", "", "ff" + parent[2:], ""},
		{"short", "", parent[:54], ""},
		{"header with a line break", "Root=1\r\nX: y", "", ""},
		{"header with a space", "Root=1 ;", parent, "Root=1-4bf92f35-77b34da6a3ce929d0e0e4736;Parent=00f067aa0ba902b7;Sampled=1"},
	} {
		got := string(appendTrace(nil, []byte(c.header), []byte(c.traceparent), time.Unix(0x5ebe2eb5, 0)))
		if c.want == "" && !fresh.MatchString(got) || c.want != "" && got != c.want {
			t.Errorf("%s: %s", c.name, got)
		}
	}
}

func TestColdStart(t *testing.T) {
	for log, want := range map[string]bool{
		"START RequestId: 1\nREPORT RequestId: 1\tDuration: 2 ms\tInit Duration: 120.00 ms\t\n":                                true,
		"REPORT RequestId: 1\tDuration: 2 ms\tRestore Duration: 120.00 ms\t\n":                                                 true,
		strings.Repeat("the function wrote this\n", 160) + "REPORT RequestId: 1\tDuration: 2 ms\tInit Duration: 120.00 ms\t\n": true,
		"REPORT RequestId: 1\tDuration: 2 ms\n":                                                                                false,
		"the function wrote: Init Duration: 5\nREPORT RequestId: 1\tDuration: 2 ms\n":                                          false,
		"Init Duration: 5": false, "": false,
	} {
		if got := coldStart([]byte(base64.StdEncoding.EncodeToString([]byte(log)))); got != want {
			t.Errorf("%q: %v", log, got)
		}
	}
	if coldStart([]byte("***")) || coldStart(make([]byte, maxLogTail+1)) {
		t.Error("no log at all is a cold start")
	}
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		status int
		typ    string
		body   string
		want   int
		again  again
	}{
		{429, "TooManyRequestsException", `{"Reason":"ReservedFunctionConcurrentInvocationLimitExceeded","Type":"User","message":"Rate Exceeded."}`, 503, always},
		{429, "", ``, 503, always},
		{413, "RequestTooLargeException", ``, 413, never},
		{413, "", ``, 413, never},
		{404, "ResourceNotFoundException:http://internal.amazon.com/coral/", `{"Message":"Function not found"}`, 502, never},
		{403, "AccessDeniedException", `{"Message":"User is not authorized"}`, 502, never},
		{403, "", `{"__type":"com.amazonaws#ExpiredTokenException","message":"x"}`, 502, never},
		{403, "InvalidSignatureException", ``, 502, never},
		{502, "ResourceNotReadyException", ``, 503, never},
		{409, "ResourceConflictException", ``, 503, never},
		{409, "SnapStartNotReadyException", ``, 503, never},
		{408, "SnapStartTimeoutException", ``, 503, never},
		{502, "ENILimitReachedException", ``, 503, never},
		{408, "EFSMountTimeoutException", ``, 503, never},
		{410, "EFSIOException", ``, 503, never},
		{502, "EC2ThrottledException", ``, 503, never},
		{502, "EC2AccessDeniedException", ``, 502, never},
		{502, "InvalidRuntimeException", ``, 502, never},
		{500, "ServiceException", ``, 502, ifIdempotent},
		{503, "", `<html>`, 502, ifIdempotent},
		{400, "InvalidRequestContentException", ``, 502, never},
	} {
		e := readRefusal(c.status, []byte(c.typ), []byte(c.body))
		if got := treat(e); got.status != c.want || got.again != c.again || got.hint == "" {
			t.Errorf("%d %s: %+v", c.status, c.typ, got)
		}
	}
	if e := readRefusal(403, nil, []byte(`{"__type":"com.amazonaws#ExpiredTokenException","message":"soon"}`)); !e.expired() || e.Message != "soon" {
		t.Errorf("%+v", e)
	}
}
