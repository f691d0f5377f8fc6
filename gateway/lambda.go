package gateway

import (
	"edgerouter/app"
	"edgerouter/lambda"
	"edgerouter/upstream"
)

func (d Standard) lambda(id string, b app.Backend) (Backend, error) {
	if b.AWSLambda == nil {
		return nil, missing("aws_lambda_opts")
	}
	return d.turbocharge(id, b.AWSLambda.Turbocharger, func(advertised upstream.Advertised) (Backend, error) {
		f, err := d.Lambda.New(id, *b.AWSLambda, lambda.Advertised(advertised))
		if err != nil {
			return nil, inField("backend.aws_lambda_opts", err)
		}
		return f, nil
	})
}
