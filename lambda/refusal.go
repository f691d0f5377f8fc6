package lambda

import (
	"bytes"
	"strings"
)

// Refusal is an answer of the API that is not the function's.
type Refusal struct {
	Status  int    // of the API's response
	Type    string // such as TooManyRequestsException
	Message string // the API's words, for the log
}

func (e *Refusal) Error() string {
	text := "the Lambda API answered " + e.Type
	if e.Type == "" {
		text = "the Lambda API answered with an error"
	}
	if e.Message != "" {
		text += ": " + e.Message
	}
	return text
}

// treatment is what a refusal means for the client and for another attempt.
type treatment struct {
	status int
	// again says when the same may be asked again: the function cannot have run
	// (always), or may have (ifIdempotent).
	again again
	hint  string // what to do, for the log
}

type again uint8

const (
	never again = iota
	always
	ifIdempotent
)

const (
	hintPermission  = "grant lambda:InvokeFunction on the function (and on its version or alias, when qualifier is set) to this node's credentials; the same action covers response_stream"
	hintMissing     = "check function_name, region_id and qualifier"
	hintCredentials = "check this node's credentials (AWS_PROFILE, AWS_ACCESS_KEY_ID, the role of the machine), whether they have expired, and its clock. Where none are configured the AWS SDK asks the instance's metadata service, 169.254.169.254; AWS_EC2_METADATA_DISABLED=true, and --dev, turn that off"
	hintNotReady    = "the function is not ready; try again in a moment, and look at its state in the Lambda console"
	hintFunction    = "look at the function's configuration in the Lambda console"
)

// treat finds what a refusal means. Types that are not known are judged by the
// API's status.
func treat(e *Refusal) treatment {
	switch t := e.Type; {
	case t == "TooManyRequestsException", t == "ThrottlingException", t == "EC2ThrottledException" && e.Status == 429:
		return treatment{503, always, "raise the function's reserved concurrency or the account's limit, or set max_concurrency"}
	case t == "RequestTooLargeException", t == "RequestEntityTooLargeException", e.Status == 413 && t != "ResponseSizeTooLarge":
		return treatment{413, never, "events are limited to 6 MB"}
	case t == "ResourceNotFoundException":
		return treatment{502, never, hintMissing}
	case t == "AccessDeniedException", t == "AccessDenied", t == "KMSAccessDeniedException":
		return treatment{502, never, hintPermission}
	case t == "ExpiredTokenException", t == "ExpiredToken", t == "UnrecognizedClientException", t == "InvalidSignatureException",
		t == "InvalidClientTokenId", t == "MissingAuthenticationToken", t == "MissingAuthenticationTokenException",
		t == "IncompleteSignature", t == "IncompleteSignatureException", t == "SignatureDoesNotMatch", t == "InvalidAccessKeyId":
		return treatment{502, never, hintCredentials}
	case strings.HasPrefix(t, "ResourceNotReady"), strings.HasPrefix(t, "ResourceConflict"), strings.HasPrefix(t, "SnapStart"),
		strings.HasPrefix(t, "ENI"), strings.HasPrefix(t, "EFS"), strings.HasPrefix(t, "S3FilesMount"),
		t == "EC2ThrottledException", t == "SubnetIPAddressLimitReachedException", t == "CodeArtifactUserPendingException":
		return treatment{503, never, hintNotReady}
	case t == "ModeNotSupportedException":
		return treatment{502, never, "this function cannot be called with this invoke_mode"}
	case e.Status == 404:
		return treatment{502, never, hintMissing}
	case e.Status == 401, e.Status == 403:
		return treatment{502, never, hintPermission + "; " + hintCredentials}
	case e.Status == 429:
		return treatment{503, always, "the API throttles"}
	case t == "ServiceException", t == "" && e.Status >= 500, t == "InternalFailure", t == "ServiceUnavailableException", t == "ServiceUnavailable":
		return treatment{502, ifIdempotent, "an error of the service; it may have run the function"}
	}
	return treatment{502, never, hintFunction}
}

// expired tells whether a refusal is one that fresh credentials may help with.
func (e *Refusal) expired() bool {
	switch e.Type {
	case "ExpiredTokenException", "ExpiredToken", "UnrecognizedClientException", "InvalidClientTokenId":
		return true
	}
	return false
}

// readRefusal makes a Refusal of a response; typ is its X-Amzn-ErrorType. The
// body is changed.
func readRefusal(status int, typ, body []byte) *Refusal {
	e := &Refusal{Status: status, Type: errorType(typ)}
	s := scan{b: body}
	// A body that is no JSON has nothing more to say.
	_ = s.object(func(key []byte) error {
		name := string(key)
		if s.peek() != '"' {
			return s.skip()
		}
		value, err := s.text()
		switch {
		case err != nil:
		case strings.EqualFold(name, "message"):
			e.Message = clip(value, maxLogged)
		case e.Type == "" && (name == "__type" || name == "code" || name == "Code"):
			e.Type = errorType(value)
		}
		return err
	})
	return e
}

// maxLogged bounds the words of others in a log line.
const maxLogged = 2 << 10

func clip(b []byte, most int) string {
	if len(b) > most {
		return strings.ToValidUTF8(string(b[:most]), "") + "..."
	}
	return string(b)
}

// errorType takes the name out of "ns#Name:http://...".
func errorType(v []byte) string {
	v, _, _ = bytes.Cut(v, []byte(":"))
	if i := bytes.LastIndexByte(v, '#'); i >= 0 {
		v = v[i+1:]
	}
	return clip(bytes.TrimSpace(v), 100)
}
