package lambda

import (
	"bytes"
	"encoding/hex"
	"math/rand/v2"
	"time"
)

// traceField is X-Ray's header field: Root=1-8 hex-24 hex, and perhaps Parent and
// Sampled. The Invoke API takes it, and so the function's own trace joins in.
const traceField = "X-Amzn-Trace-Id"

// maxTrace bounds what of a client is believed to be a trace.
const maxTrace = 256

// appendTrace appends the trace of a request: what the client says in
// X-Amzn-Trace-Id; else the same made from traceparent (W3C Trace Context); else
// a new root.
func appendTrace(dst, header, traceparent []byte, now time.Time) []byte {
	if isTrace(header) {
		return append(dst, header...)
	}
	if root, parent, sampled, ok := splitTraceparent(traceparent); ok {
		dst = append(dst, "Root=1-"...)
		dst = append(append(append(dst, root[:8]...), '-'), root[8:]...)
		dst = append(append(dst, ";Parent="...), parent...)
		if sampled {
			return append(dst, ";Sampled=1"...)
		}
		return append(dst, ";Sampled=0"...)
	}
	var id [12]byte
	putRandom(id[:])
	dst = append(dst, "Root=1-"...)
	seconds := uint32(now.Unix())
	dst = hex.AppendEncode(dst, []byte{byte(seconds >> 24), byte(seconds >> 16), byte(seconds >> 8), byte(seconds)})
	return hex.AppendEncode(append(dst, '-'), id[:])
}

func putRandom(b []byte) {
	for len(b) > 0 {
		v := rand.Uint64()
		for i := range min(8, len(b)) {
			b[i] = byte(v >> (8 * i))
		}
		b = b[min(8, len(b)):]
	}
}

// isTrace tells whether a field looks like X-Ray's.
func isTrace(v []byte) bool {
	if len(v) == 0 || len(v) > maxTrace || !bytes.Contains(v, []byte("=")) {
		return false
	}
	for _, c := range v {
		switch {
		case c|0x20 >= 'a' && c|0x20 <= 'z', c >= '0' && c <= '9':
		case bytes.IndexByte([]byte("=;-:_."), c) < 0:
			return false
		}
	}
	return true
}

// splitTraceparent reads version 00: 00-32 hex-16 hex-2 hex.
func splitTraceparent(v []byte) (trace, parent []byte, sampled, ok bool) {
	if len(v) < 55 || v[2] != '-' || v[35] != '-' || v[52] != '-' || string(v[:2]) == "ff" || len(v) > 55 && v[55] != '-' {
		return nil, nil, false, false
	}
	trace, parent = v[3:35], v[36:52]
	if !lowerHex(v[:2]) || !lowerHex(trace) || !lowerHex(parent) || !lowerHex(v[53:55]) || zeros(trace) || zeros(parent) {
		return nil, nil, false, false
	}
	return trace, parent, unhex(v[54])&1 == 1, true
}

func lowerHex(b []byte) bool {
	for _, c := range b {
		if unhex(c) > 15 || c >= 'A' && c <= 'F' {
			return false
		}
	}
	return true
}

func zeros(b []byte) bool { return len(bytes.Trim(b, "0")) == 0 }
