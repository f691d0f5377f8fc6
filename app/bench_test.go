package app

import (
	"fmt"
	"strings"
	"testing"
)

// manyApps is a file of n applications, as large installations have.
func manyApps(n int) []byte {
	var b strings.Builder
	b.WriteString("{\"apps\": [\n")
	for i := range n {
		if i > 0 {
			b.WriteString(",\n")
		}
		fmt.Fprintf(&b, `  {"id": "app-%d", "frontends": [{"kind": "hostname", "hostname": "host-%d.example.com", "path_prefix": "/"}],
   "backend": {"kind": "peer_set", "peer_set_opts": {"addrs": ["http://10.0.%d.%d:8080", "http://10.1.%d.%d:8080"], "pass_host_header": true}}}`,
			i, i, i/256%256, i%256, i/256%256, i%256)
	}
	b.WriteString("\n]}\n")
	return []byte(b.String())
}

func BenchmarkDecode10000(b *testing.B) {
	data := manyApps(10000)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if apps, problems := Decode("f", data); len(apps) != 10000 || len(problems) > 0 {
			b.Fatal(len(apps), problems)
		}
	}
}

func BenchmarkDiff10000(b *testing.B) {
	data := manyApps(10000)
	old, _ := Decode("f", data)
	changed, _ := Decode("f", data)
	changed[77].Backend.PeerSet.Addrs[0] = "http://10.9.9.9"
	b.ReportAllocs()
	for b.Loop() {
		if changes := Diff(old, changed); len(changes) != 1 {
			b.Fatal(changes)
		}
	}
}
