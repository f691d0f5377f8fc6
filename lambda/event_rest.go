package lambda

// appendREST writes format 1.0, see "Input format of a Lambda function for proxy
// integration" in the API Gateway manual. The resource is what a greedy proxy
// resource has: "/" for the root and "/{proxy+}" for everything below.
func (b *Builder) appendREST(dst []byte, p *Place, r *Request) []byte {
	resource, below := "/", r.Path
	for len(below) > 0 && below[0] == '/' {
		below = below[1:]
	}
	if len(below) > 0 {
		resource = "/{proxy+}"
	}
	dst = append(dst, `{"resource":`...)
	dst = appendString(dst, resource)
	dst = append(dst, `,"path":`...)
	dst = appendString(dst, r.Path)
	dst = append(dst, `,"httpMethod":`...)
	dst = appendString(dst, r.Method)
	if len(b.headers.list) > 0 {
		dst = append(dst, `,"headers":`...)
		dst = b.headers.appendLast(dst, asItCame)
		dst = append(dst, `,"multiValueHeaders":`...)
		dst = b.headers.appendAll(dst, asItCame)
	} else {
		dst = append(dst, `,"headers":null,"multiValueHeaders":null`...)
	}
	if len(b.query.list) > 0 {
		dst = append(dst, `,"queryStringParameters":`...)
		dst = b.query.appendLast(dst, asItCame)
		dst = append(dst, `,"multiValueQueryStringParameters":`...)
		dst = b.query.appendAll(dst, asItCame)
	} else {
		dst = append(dst, `,"queryStringParameters":null,"multiValueQueryStringParameters":null`...)
	}
	if len(below) > 0 {
		dst = append(dst, `,"pathParameters":{"proxy":`...)
		dst = appendString(dst, below)
		dst = append(dst, '}')
	} else {
		dst = append(dst, `,"pathParameters":null`...)
	}
	dst = append(dst, `,"stageVariables":null,"requestContext":{"accountId":`...)
	dst = appendString(dst, p.AccountID)
	dst = append(dst, `,"apiId":`...)
	dst = appendString(dst, p.APIID)
	dst = append(dst, `,"resourceId":`...)
	dst = appendString(dst, p.APIID)
	dst = append(dst, `,"resourcePath":`...)
	dst = appendString(dst, resource)
	dst = append(dst, `,"path":`...)
	dst = appendString(dst, r.FullPath)
	dst = append(dst, `,"httpMethod":`...)
	dst = appendString(dst, r.Method)
	dst = append(dst, `,"stage":"$default",`...)
	dst = appendDomain(dst, r.Host)
	dst = append(dst, `,"requestId":`...)
	dst = appendString(dst, r.RequestID)
	dst = append(dst, `,"extendedRequestId":`...)
	dst = appendString(dst, r.RequestID)
	dst = append(dst, `,"protocol":`...)
	dst = appendString(dst, r.Protocol)
	dst = append(dst, `,"requestTime":`...)
	dst = appendTime(dst, r.Time)
	dst = append(dst, `,"requestTimeEpoch":`...)
	dst = appendMillis(dst, r.Time)
	dst = append(dst, `,"identity":{"sourceIp":`...)
	dst = appendIP(dst, r.SourceIP)
	dst = append(dst, `,"userAgent":`...)
	dst = appendString(dst, r.field("user-agent"))
	return append(dst, "}}"...)
}
