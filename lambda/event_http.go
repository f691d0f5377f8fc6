package lambda

import (
	"bytes"

	"edgerouter/wire"
)

// appendHTTP writes format 2.0, see "AWS Lambda integrations for HTTP APIs" in
// the API Gateway manual.
func (b *Builder) appendHTTP(dst []byte, p *Place, r *Request) []byte {
	dst = append(dst, `{"version":"2.0","routeKey":"$default","rawPath":`...)
	dst = appendString(dst, r.Path)
	dst = append(dst, `,"rawQueryString":`...)
	dst = appendString(dst, r.Query)
	dst = appendCookies(dst, r)
	dst = append(dst, `,"headers":`...)
	dst = b.headers.appendJoined(dst, lowerCase)
	if len(b.query.list) > 0 {
		dst = append(dst, `,"queryStringParameters":`...)
		dst = b.query.appendJoined(dst, asItCame)
	}
	dst = append(dst, `,"requestContext":{"accountId":`...)
	dst = appendString(dst, p.AccountID)
	dst = append(dst, `,"apiId":`...)
	dst = appendString(dst, p.APIID)
	dst = append(dst, ',')
	dst = appendDomain(dst, r.Host)
	dst = append(dst, `,"http":{"method":`...)
	dst = appendString(dst, r.Method)
	dst = append(dst, `,"path":`...)
	dst = appendString(dst, r.Path)
	dst = append(dst, `,"protocol":`...)
	dst = appendString(dst, r.Protocol)
	dst = append(dst, `,"sourceIp":`...)
	dst = appendIP(dst, r.SourceIP)
	dst = append(dst, `,"userAgent":`...)
	dst = appendString(dst, r.field("user-agent"))
	dst = append(dst, `},"requestId":`...)
	dst = appendString(dst, r.RequestID)
	dst = append(dst, `,"routeKey":"$default","stage":"$default","time":`...)
	dst = appendTime(dst, r.Time)
	dst = append(dst, `,"timeEpoch":`...)
	dst = appendMillis(dst, r.Time)
	return append(dst, '}')
}

// appendCookies writes a list with a string for each cookie of all Cookie
// fields, and nothing when there is none.
func appendCookies(dst []byte, r *Request) []byte {
	const key = `,"cookies":[`
	found := false
	for _, f := range r.Fields {
		if !wire.EqualFold(f.Name, "cookie") {
			continue
		}
		for rest := f.Value; len(rest) > 0; {
			var one []byte
			one, rest, _ = bytes.Cut(rest, semicolon)
			if one = bytes.TrimSpace(one); len(one) == 0 {
				continue
			}
			if !found {
				found = true
				dst = append(dst, key...)
			}
			dst = append(appendString(dst, one), ',')
		}
	}
	if !found {
		return dst
	}
	return closeWith(dst, ']')
}

var semicolon = []byte{';'}
