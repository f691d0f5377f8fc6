package gateway

import "edgerouter/app"

func (d Standard) lambda(id string, b app.Backend) (Backend, error) {
	if b.AWSLambda == nil {
		return nil, missing("aws_lambda_opts")
	}
	f, err := d.Lambda.New(id, *b.AWSLambda)
	if err != nil {
		return nil, inField("backend.aws_lambda_opts", err)
	}
	return f, nil
}
