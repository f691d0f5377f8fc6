// Package eventhorizon is the event log in DynamoDB, in the table and form of
// function61's EventHorizon: its tools read what is appended here, and the
// reverse.
//
// An entry is an item with partition key s (the stream) and sort key v (the
// version); meta_event is its bookkeeping line or NULL and e its event lines or
// NULL. Readers query for what follows a version and poll; writers put the next
// version on the condition that nobody else has. Nothing is ever changed or
// deleted.
package eventhorizon

import (
	"errors"
	"fmt"
	"strings"
)

// Config is what EVENTHORIZON says.
type Config struct {
	Env    string // prod or dev
	Tenant string
	// KeyID and Secret are credentials; both empty: the AWS default chain.
	KeyID, Secret string
	Region        string
}

// ParseConfig reads env:tenant:accessKeyId:accessKeySecret:region. Errors do not
// repeat the value, which has a secret in it.
func ParseConfig(text string) (Config, error) {
	parts := strings.Split(text, ":")
	if len(parts) != 5 {
		return Config{}, fmt.Errorf("want env:tenant:accessKeyId:accessKeySecret:region, which has 5 parts, not %d", len(parts))
	}
	c := Config{Env: parts[0], Tenant: parts[1], KeyID: parts[2], Secret: parts[3], Region: parts[4]}
	switch {
	case c.Env != "prod" && c.Env != "dev":
		return Config{}, fmt.Errorf("the environment is %q, and not prod or dev", c.Env)
	case c.Tenant == "":
		return Config{}, errors.New("the tenant (the second part) is missing; it is a number such as 1")
	case (c.KeyID == "") != (c.Secret == ""):
		return Config{}, errors.New("give both the access key's id and its secret, or neither")
	case c.Region == "":
		return Config{}, errors.New("the region (the last part) is missing, such as eu-central-1")
	}
	return c, nil
}

// Table is the table of the environment.
func (c Config) Table() string { return c.Env + "_eh_events" }
