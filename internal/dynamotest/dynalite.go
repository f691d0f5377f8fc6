// Package dynamotest starts a DynamoDB server (npm's dynalite) with an event table
// for tests, and puts items there as other tools have.
//
// A test that calls Start is skipped where the program is not installed, unless
// EDGEROUTER_TEST_REQUIRE names dynamodb: then it fails.
package dynamotest

import (
	"bytes"
	"encoding/json"
	"errors"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"edgerouter/internal/testkit"
)

// Table is the event table that Start makes.
const Table = "dev_eh_events"

// Start starts the DynamoDB server of npm's dynalite and makes the table; it
// returns the endpoint, a URL.
func Start(t testing.TB) string {
	t.Helper()
	command := []string{"npx", "--yes", "dynalite@4.0.0"}
	if path, err := exec.LookPath("dynalite"); err == nil {
		command = []string{path}
	} else if _, err := exec.LookPath("npx"); err != nil {
		testkit.Missing(t, "dynamodb", "dynalite and npx are not installed; Debian's npm has npx")
	} else if !required() {
		// npx would download it, which a test by the way should not.
		command = []string{"npx", "--no-install", "dynalite"}
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	ln.Close()
	cmd := exec.Command(command[0], append(command[1:], "--port", port, "--createTableMs", "0")...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // npx runs it as a child
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }()
	t.Cleanup(func() { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); <-ended })
	endpoint := "http://127.0.0.1:" + port
	db := Client(endpoint)
	for end := time.Now().Add(90 * time.Second); ; {
		_, err := db.CreateTable(t.Context(), &dynamodb.CreateTableInput{
			TableName: aws.String(Table), BillingMode: types.BillingModePayPerRequest,
			AttributeDefinitions: []types.AttributeDefinition{
				{AttributeName: aws.String("s"), AttributeType: types.ScalarAttributeTypeS}, {AttributeName: aws.String("v"), AttributeType: types.ScalarAttributeTypeN}},
			KeySchema: []types.KeySchemaElement{
				{AttributeName: aws.String("s"), KeyType: types.KeyTypeHash}, {AttributeName: aws.String("v"), KeyType: types.KeyTypeRange}},
		})
		var exists *types.ResourceInUseException
		if err == nil || errors.As(err, &exists) {
			break
		}
		select {
		case <-ended:
			testkit.Missing(t, "dynamodb", "dynalite is not installed (npm install -g dynalite@4.0.0): "+strings.TrimSpace(out.String()))
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(end) {
			t.Fatalf("dynalite did not start: %v\n%s", err, out.String())
		}
	}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		got, err := db.DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: aws.String(Table)})
		if err == nil && got.Table.TableStatus == types.TableStatusActive {
			return endpoint
		}
		if time.Now().After(end) {
			t.Fatalf("the table did not become active: %v", err)
		}
	}
}

func required() bool {
	return slices.Contains(strings.Split(os.Getenv("EDGEROUTER_TEST_REQUIRE"), ","), "dynamodb")
}

// Client talks to the server at an endpoint.
func Client(endpoint string) *dynamodb.Client {
	return dynamodb.NewFromConfig(aws.Config{
		Region: "eu-central-1", Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""), BaseEndpoint: aws.String(endpoint),
	})
}

// Item is one of the table, as testdata/eventhorizon-certbus/items.json has it.
type Item struct {
	S    string   `json:"s"`
	V    int64    `json:"v"`
	Meta *string  `json:"meta_event"`
	E    []string `json:"e"`
}

// Items reads a file of them.
func Items(t testing.TB, path string) []Item {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var items []Item
	if err := json.Unmarshal(content, &items); err != nil {
		t.Fatal(err)
	}
	return items
}

// Load puts the items there as other tools have: with their own encoder, not ours.
func Load(t testing.TB, db *dynamodb.Client, items []Item) {
	t.Helper()
	for _, i := range items {
		item := map[string]types.AttributeValue{
			"s": &types.AttributeValueMemberS{Value: i.S}, "v": &types.AttributeValueMemberN{Value: strconv.FormatInt(i.V, 10)},
			"meta_event": &types.AttributeValueMemberNULL{Value: true}, "e": &types.AttributeValueMemberNULL{Value: true},
		}
		if i.Meta != nil {
			item["meta_event"] = &types.AttributeValueMemberS{Value: *i.Meta}
		}
		if i.E != nil {
			var lines []types.AttributeValue
			for _, line := range i.E {
				lines = append(lines, &types.AttributeValueMemberS{Value: line})
			}
			item["e"] = &types.AttributeValueMemberL{Value: lines}
		}
		if _, err := db.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String(Table), Item: item}); err != nil {
			t.Fatal(err)
		}
	}
}
