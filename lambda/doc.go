// Package lambda is the aws_lambda backend: API Gateway without API Gateway.
//
// A request becomes an event (1.0, 2.0 or alb: event.go and its neighbours), the
// event goes through the Invoke or InvokeWithResponseStream API (invoke.go), and
// what the function returns becomes the response (response.go and its neighbours;
// stream.go for what is streamed). The transforms between bytes and bytes are
// pure; what opens connections is in endpoint.go and conn.go.
//
// Configuration, credentials and endpoints are those of aws-sdk-go-v2. The
// request itself is signed (AWS Signature Version 4) and sent by this package:
// the SDK's own way costs several times the processor time of everything else
// that happens to a request (docs/decisions/0006-lambda-own-invoke.md).
//
// Promises:
//   - A function is called twice for one request only when the first call cannot
//     have run it, or when the method is idempotent.
//   - What a function says in an error is logged and never sent to the client.
//   - The memory of events and payloads comes out of one budget (Deps.Memory).
//     Beyond it requests get 503, and the process stays within its means.
//   - A client that goes away frees its place and its connection at once. The
//     function itself goes on: Lambda has no way to stop it.
//
// It reads no file and no environment; the aws.Config it is given may have.
package lambda
