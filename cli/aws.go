package cli

import (
	"context"
	"fmt"
	"net/http"
	"os"

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

// noInstanceMetadata keeps the AWS SDK from asking the metadata service of an EC2
// instance (169.254.169.254), which it does where it finds no credentials. On a
// developer's machine that address is nobody's, and each question takes seconds.
// Who has set the variable has decided.
func noInstanceMetadata() error {
	const name = "AWS_EC2_METADATA_DISABLED"
	if _, given := os.LookupEnv(name); given {
		return nil
	}
	return os.Setenv(name, "true")
}

// openBucket opens a bucket of a region.
func openBucket(ctx context.Context, region, name string) (*bucket.Bucket, error) {
	cfg, err := awsConfig(ctx, region)
	if err != nil {
		return nil, err
	}
	return bucket.Open(cfg, name), nil
}
