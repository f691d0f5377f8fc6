package lambda

import (
	"bytes"
	"encoding/base64"
)

// maxLogTail is what four kilobytes of log become in base64, and a bit more.
// reportTail is how much of its end is looked at: the REPORT line is the last, and
// perhaps one about X-Ray behind it.
const (
	maxLogTail = 6 << 10
	reportTail = 1 << 10
)

// coldStart tells whether the end of a function's log, in base64, has a REPORT
// line with the time of an initialization or of a restored snapshot.
func coldStart(tail []byte) bool {
	if len(tail) == 0 || len(tail) > maxLogTail || len(tail)%4 != 0 {
		return false
	}
	if len(tail) > reportTail {
		tail = tail[len(tail)-reportTail:]
	}
	var text [reportTail / 4 * 3]byte
	n, err := base64.StdEncoding.Decode(text[:], tail)
	if err != nil {
		return false
	}
	report := text[:n]
	i := bytes.LastIndex(report, []byte("REPORT RequestId:"))
	if i < 0 {
		return false
	}
	report = report[i:]
	return bytes.Contains(report, []byte("Init Duration:")) || bytes.Contains(report, []byte("Restore Duration:"))
}
