package lambda

import (
	"edgerouter/app"
	"edgerouter/wire"
)

// Event is the whole event of a request with a body: what the backend sends,
// made in memory of its own. It is for tools; MaxPayload is not checked.
func Event(p *Place, r *Request, body []byte) []byte {
	var contentType []byte
	encoded := false
	for _, f := range r.Fields {
		switch {
		case wire.EqualFold(f.Name, "content-type"):
			contentType = f.Value
		case wire.EqualFold(f.Name, "content-encoding"):
			encoded = true
		}
	}
	text := Text(contentType, encoded)
	var b Builder
	head := b.AppendHead(nil, p, r)
	event := make([]byte, len(head)+BodyGap, max(Finished(len(head), body, text), len(head)+64))
	copy(event, head)
	return Finish(append(event, body...), len(head), p.Format, text)
}

// PlaceOf is what the events of an application say of where they come from.
func PlaceOf(id string, opts app.AWSLambdaOpts) (Place, error) {
	account, err := accountOf(opts.FunctionName, opts.RegionID)
	if err != nil {
		return Place{}, err
	}
	p := Place{
		Format: Format(opts.PayloadFormatVersion), MultiValue: opts.ALBMultiValue, APIID: id,
		AccountID: account, Region: opts.RegionID,
	}
	if p.Format == "" {
		p.Format = REST
	}
	return p, nil
}

// Trace is the value of X-Amzn-Trace-Id for a request, see Request.Time and the
// fields traceparent and X-Amzn-Trace-Id.
func Trace(r *Request) []byte {
	return appendTrace(nil, r.field("x-amzn-trace-id"), r.field("traceparent"), r.Time)
}
