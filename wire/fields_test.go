package wire

import "testing"

func TestKindOf(t *testing.T) {
	for name, want := range map[string]FieldKind{
		"": Ordinary, "X": Ordinary, "Accept": Ordinary, "Hosts": Ordinary, "X-Forwarded-": Ordinary, "Proxy-": Ordinary,
		"HOST": Host, "content-LENGTH": ContentLength, "Transfer-encoding": TransferEncoding, "connection": Connection,
		"Upgrade": Upgrade, "te": TE, "Expect": Expect, "Trailer": Trailer, "date": Date, "Server": Server, "Cookie": Cookie,
		"content-type": ContentType, "Keep-Alive": Hop, "Proxy-Connection": Hop, "proxy-authenticate": Hop,
		"X-Forwarded-For": Forwarding, "x-forwarded-anything": Forwarding, "X-Real-IP": Forwarding, "X-Request-ID": Forwarding,
		"Forwarded": Forwarding, "X_Forwarded_For": Forwarding, "x-real_ip": Forwarding, "X_REQUEST_ID": Forwarding,
		"Content_Length": Hop, "content.length": Hop, "Transfer_Encoding": Hop, "TRANSFER.ENCODING": Hop, "Keep_Alive": Hop, "Proxy_Connection": Hop,
		"x.forwarded.for": Forwarding, "X~Real|Ip": Forwarding, "X_Client.Cert-San": Forwarding, "Content_Type": Ordinary, "X-Forwarded": Ordinary,
	} {
		if got := KindOf([]byte(name)); got != want {
			t.Errorf("KindOf(%q) = %d, not %d", name, got, want)
		}
	}
}

func TestHasToken(t *testing.T) {
	for list, want := range map[string]bool{
		"close": true, "CLOSE": true, " close ": true, "a,close": true, "a , close,": true, ",,close": true,
		"": false, "closed": false, "a close": false, "clos,e": false,
	} {
		if got := HasToken([]byte(list), "close"); got != want {
			t.Errorf("HasToken(%q) = %v", list, got)
		}
	}
}

func TestCleanValueAgreesWithItsDefinition(t *testing.T) {
	for size := range 20 {
		for at := range size {
			for c := range 256 {
				b := make([]byte, size)
				for i := range b {
					b[i] = 'a' + byte(i)
				}
				b[at] = byte(c)
				want := c == '\t' || c >= 0x20 && c != 0x7f
				if cleanValue(b) != want {
					t.Fatalf("cleanValue(%q) = %v", b, !want)
				}
			}
		}
	}
}
