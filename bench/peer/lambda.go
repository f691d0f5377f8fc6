package peer

import "slices"

// LambdaEnv is the environment in which a proxy finds the Lambda service of a
// job, as the words of env(1).
func LambdaEnv(url, region, keyID, secret string) []string {
	return []string{
		"env", "AWS_ENDPOINT_URL_LAMBDA=" + url, "AWS_REGION=" + region,
		"AWS_ACCESS_KEY_ID=" + keyID, "AWS_SECRET_ACCESS_KEY=" + secret,
	}
}

// LambdaFunction is the function of a Job with Lambda.
const LambdaFunction = "bench"

func lambdaApplication(region string) object {
	a := application("bench", Host, []string{"/"}, nil)
	a["backend"] = object{"kind": "aws_lambda", "aws_lambda_opts": object{"function_name": LambdaFunction, "region_id": region}}
	return a
}

// within puts a proxy's command behind the job's environment.
func (j Job) within(argv []string) []string { return append(slices.Clone(j.Env), argv...) }
