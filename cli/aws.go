package cli

import (
	"context"
	"fmt"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"

	"edgerouter/internal/bucket"
)

// awsConfig is the AWS SDK's default chain (AWS_PROFILE, AWS_ENDPOINT_URL_*,
// AWS_ACCESS_KEY_ID, instance roles) for a region.
func awsConfig(ctx context.Context, region string) (aws.Config, error) {
	client := awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
		t.MaxIdleConnsPerHost = 64 // as many files are sent and fetched at a time
	})
	cfg, err := config.LoadDefaultConfig(ctx, config.WithRegion(region), config.WithHTTPClient(client))
	if err != nil {
		return cfg, fmt.Errorf("the configuration of the AWS SDK (environment and ~/.aws): %w", err)
	}
	return cfg, nil
}

// openBucket opens a bucket of a region.
func openBucket(ctx context.Context, region, name string) (*bucket.Bucket, error) {
	cfg, err := awsConfig(ctx, region)
	if err != nil {
		return nil, err
	}
	return bucket.Open(cfg, name), nil
}
