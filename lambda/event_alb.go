package lambda

// appendALB writes what a load balancer sends, see "Lambda functions as targets"
// in the manual of the Application Load Balancer: names in lower case, query
// parameters as they came, and either the objects with one value for each name
// (the last) or those with all.
func (b *Builder) appendALB(dst []byte, p *Place, r *Request) []byte {
	dst = append(dst, `{"requestContext":{"elb":{"targetGroupArn":"arn:aws:elasticloadbalancing:`...)
	dst = append(appendInside(dst, p.Region), ':')
	dst = appendInside(dst, p.AccountID)
	dst = append(dst, ":targetgroup/"...)
	dst = appendInside(dst, p.APIID)
	dst = append(dst, `/0000000000000000"}},"httpMethod":`...)
	dst = appendString(dst, r.Method)
	dst = append(dst, `,"path":`...)
	dst = appendString(dst, r.Path)
	if p.MultiValue {
		dst = append(dst, `,"multiValueQueryStringParameters":`...)
		dst = b.query.appendAll(dst, asItCame)
		dst = append(dst, `,"multiValueHeaders":`...)
		return b.headers.appendAll(dst, lowerCase)
	}
	dst = append(dst, `,"queryStringParameters":`...)
	dst = b.query.appendLast(dst, asItCame)
	dst = append(dst, `,"headers":`...)
	return b.headers.appendLast(dst, lowerCase)
}
