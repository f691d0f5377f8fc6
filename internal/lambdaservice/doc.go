// Package lambdaservice is AWS Lambda for tests, benchmarks and examples: on one
// side the Invoke and InvokeWithResponseStream APIs over HTTP, with signatures
// checked; on the other the Lambda runtime API, which real function programs
// (such as those of aws-lambda-go) speak.
//
// A Function is a program that the service starts when it is called, one process
// for each invocation at a time, or a Go function in this process. Faults stand
// between the API and the function: throttling, refusals, resets, latencies,
// responses that are cut.
//
// Sources: "Lambda API reference" (Invoke, InvokeWithResponseStream), "Using the
// Lambda runtime API", "Amazon event stream encoding" of the AWS manuals. It is
// for loopback, and keeps nothing after Close.
package lambdaservice
