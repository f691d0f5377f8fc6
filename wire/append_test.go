package wire

import (
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestPutChunkHead(t *testing.T) {
	for _, n := range []int{0, 1, 15, 16, 255, 256, 65535, 1 << 20, math.MaxInt32} {
		var room [ChunkHeadSize]byte
		at := PutChunkHead(room[:], n)
		if got, want := string(room[at:]), fmt.Sprintf("%x\r\n", n); got != want {
			t.Errorf("%d became %q", n, got)
		}
	}
}

func TestAppend(t *testing.T) {
	b := AppendStatusLine(nil, 404, []byte("Not Found"))
	b = AppendField(b, "X", []byte("y"))
	b = AppendLength(b, 1<<40)
	if got, want := string(b), "HTTP/1.1 404 Not Found\r\nX: y\r\nContent-Length: 1099511627776\r\n"; got != want {
		t.Errorf("got %q", got)
	}
	var lines []string
	EachLine([]byte("A: b\r\nC: \r\nD: e: f\r\n"), func(name, value []byte) { lines = append(lines, string(name)+"="+string(value)) })
	if got := strings.Join(lines, " "); got != "A=b C= D=e: f" {
		t.Errorf("EachLine gave %q", got)
	}
}

func TestDateIsTheSystemsClock(t *testing.T) {
	// A reading of Now that is far off, as after a suspended night.
	line := string(AppendDate(nil, Now()+int64(time.Hour)))
	at, err := time.Parse("Date: "+http.TimeFormat+"\r\n", line)
	if err != nil {
		t.Fatal(err)
	}
	if off := time.Since(at); off < -time.Second || off > 5*time.Second {
		t.Errorf("%q is %v off", line, off)
	}
}

func TestClock(t *testing.T) {
	before := time.Now()
	at := At(Now())
	if at.Before(before) || time.Since(at) < 0 {
		t.Errorf("%v is not between %v and now", at, before)
	}
}
