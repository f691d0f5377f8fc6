package bucket

import (
	"bytes"
	"encoding/xml"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
)

// answering is an S3 server that gives the same answer to everything.
type answering struct{ body []byte }

// Do makes it the client of an aws.Config.
func (a answering) Do(r *http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: 200, Header: http.Header{}, Request: r, ContentLength: int64(len(a.body)),
		Body: io.NopCloser(bytes.NewReader(a.body)),
	}, nil
}

func fake(c aws.HTTPClient) *Bucket {
	return Open(aws.Config{
		Region: "eu-central-1", BaseEndpoint: aws.String("http://s3.invalid"), HTTPClient: c,
		Credentials: credentials.NewStaticCredentialsProvider("a", "b", ""),
		Retryer:     func() aws.Retryer { return aws.NopRetryer{} },
	}, "bucket")
}

// FuzzList lists what a server says: it comes to an end, gives nothing that is outside
// of the prefix, and does not take a part of a list for the whole.
func FuzzList(f *testing.F) {
	page := func(rest string) string {
		return `<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Contents><Key>below/a</Key><Size>3</Size>` +
			`<ETag>"x"</ETag><LastModified>2026-11-22T10:00:00.000Z</LastModified></Contents>` + rest + `</ListBucketResult>`
	}
	for _, s := range []string{
		page(""), page("<IsTruncated>false</IsTruncated>"),
		page("<IsTruncated>true</IsTruncated><NextContinuationToken>n</NextContinuationToken>"), // for ever
		page("<IsTruncated>true</IsTruncated>"),                                                 // and nothing to go on with
		page("<Contents><Key>elsewhere/b</Key><Size>-1</Size></Contents><Contents><Key>below/../c</Key></Contents><Contents></Contents>"),
		page("<Contents><Key>below/%2e%2e/&#x7f;</Key><Size>99999999999999999999</Size></Contents>"), "", "<", "{}",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		n := 0
		err := fake(answering{body}).List(t.Context(), "below/", func(o Info) error {
			n++
			if !strings.HasPrefix(o.Key, "below/") || o.Size < 0 {
				t.Errorf("%+v was listed", o)
			}
			return nil
		})
		var said struct{ IsTruncated string }
		if xml.Unmarshal(body, &said) == nil && said.IsTruncated == "true" && err == nil {
			t.Errorf("%d objects of a list that goes on were taken for all of them", n)
		}
	})
}
