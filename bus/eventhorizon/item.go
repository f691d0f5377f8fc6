package eventhorizon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"

	"edgerouter/bus"
)

// The attributes of an item.
const (
	attrStream  = "s"
	attrVersion = "v"
	attrMeta    = "meta_event"
	attrEvents  = "e"
)

// pageSize is how many items one query asks for.
const pageSize = 100

// toItem makes the item of an entry.
func toItem(e bus.Entry) map[string]types.AttributeValue {
	item := map[string]types.AttributeValue{
		attrStream:  &types.AttributeValueMemberS{Value: e.Stream},
		attrVersion: number(e.Version),
		attrMeta:    &types.AttributeValueMemberNULL{Value: true},
		attrEvents:  &types.AttributeValueMemberNULL{Value: true},
	}
	if e.Meta != "" {
		item[attrMeta] = &types.AttributeValueMemberS{Value: e.Meta}
	}
	if len(e.Events) > 0 {
		lines := make([]types.AttributeValue, len(e.Events))
		for i, line := range e.Events {
			lines[i] = &types.AttributeValueMemberS{Value: line}
		}
		item[attrEvents] = &types.AttributeValueMemberL{Value: lines}
	}
	return item
}

// fromItem reads an item; attributes that are not known are passed over.
func fromItem(item map[string]types.AttributeValue) (bus.Entry, error) {
	var e bus.Entry
	stream, ok := item[attrStream].(*types.AttributeValueMemberS)
	version, isNumber := item[attrVersion].(*types.AttributeValueMemberN)
	if !ok || !isNumber {
		return e, fmt.Errorf("%w: an item has no stream (s) or no version (v)", bus.ErrDamaged)
	}
	v, err := strconv.ParseInt(version.Value, 10, 64)
	if err != nil || v < 0 {
		return e, fmt.Errorf("%w: an item of %s has the version %q", bus.ErrDamaged, stream.Value, version.Value)
	}
	e.Cursor = bus.Cursor{Stream: stream.Value, Version: v}
	switch meta := item[attrMeta].(type) {
	case nil, *types.AttributeValueMemberNULL:
	case *types.AttributeValueMemberS:
		e.Meta = meta.Value
	default:
		return e, fmt.Errorf("%w: meta_event of %s version %d is not a string", bus.ErrDamaged, e.Stream, v)
	}
	switch lines := item[attrEvents].(type) {
	case nil, *types.AttributeValueMemberNULL:
	case *types.AttributeValueMemberL:
		for _, line := range lines.Value {
			s, ok := line.(*types.AttributeValueMemberS)
			if !ok {
				return e, fmt.Errorf("%w: e of %s version %d has something else than strings in it", bus.ErrDamaged, e.Stream, v)
			}
			e.Events = append(e.Events, s.Value)
		}
	default:
		return e, fmt.Errorf("%w: e of %s version %d is not a list", bus.ErrDamaged, e.Stream, v)
	}
	return e, nil
}

func number(n int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(n, 10)}
}

// read queries for what follows a position, page by page.
func (l *Log) read(ctx context.Context, after bus.Cursor, limit int) ([]bus.Entry, error) {
	var entries []bus.Entry
	var from map[string]types.AttributeValue
	for {
		out, err := l.opts.Client.Query(ctx, &dynamodb.QueryInput{
			TableName: &l.opts.Table, KeyConditionExpression: aws.String("s = :s AND v > :v"),
			ExpressionAttributeValues: map[string]types.AttributeValue{
				":s": &types.AttributeValueMemberS{Value: after.Stream}, ":v": number(max(after.Version, -1)),
			},
			Limit: aws.Int32(int32(min(limit-len(entries), pageSize))), ConsistentRead: aws.Bool(true), ExclusiveStartKey: from,
		})
		if err != nil {
			return nil, l.failed("reading "+after.Stream, err)
		}
		for _, item := range out.Items {
			e, err := fromItem(item)
			if err != nil {
				return nil, err
			}
			entries = append(entries, e)
		}
		if from = out.LastEvaluatedKey; len(from) == 0 || len(entries) >= limit {
			return entries, nil
		}
	}
}

func (l *Log) last(ctx context.Context, stream string) (bus.Cursor, error) {
	out, err := l.opts.Client.Query(ctx, &dynamodb.QueryInput{
		TableName: &l.opts.Table, KeyConditionExpression: aws.String("s = :s"),
		ExpressionAttributeValues: map[string]types.AttributeValue{":s": &types.AttributeValueMemberS{Value: stream}},
		Limit:                     aws.Int32(1), ConsistentRead: aws.Bool(true), ScanIndexForward: aws.Bool(false),
	})
	if err != nil {
		return bus.Cursor{}, l.failed("looking for the end of "+stream, err)
	}
	if len(out.Items) == 0 {
		return bus.Start(stream), nil
	}
	e, err := fromItem(out.Items[0])
	return e.Cursor, err
}

// Attempts to put an item, and the pauses between them.
const (
	putAttempts = 4
	putTimeout  = 5 * time.Second
	firstPause  = 100 * time.Millisecond
)

// put stores an entry if its version is free, and fails with a conflict if it is
// not. An attempt that got no answer may have stored it, so a version that is
// taken after one is looked at: if what is there is this entry, it is ours.
func (l *Log) put(ctx context.Context, e bus.Entry) error {
	var failure error
	unsure := false
	for attempt := range putAttempts {
		if attempt > 0 && !pause(ctx, firstPause<<attempt) {
			break
		}
		err := l.putOnce(ctx, e)
		var taken *types.ConditionalCheckFailedException
		switch {
		case err == nil:
			return nil
		case errors.As(err, &taken):
			if unsure && l.isOurs(ctx, e) {
				return nil
			}
			return &bus.ConflictError{After: bus.Cursor{Stream: e.Stream, Version: e.Version - 1}, Last: -1}
		}
		failure = l.failed(fmt.Sprintf("appending version %d of %s", e.Version, e.Stream), err)
		if !answered(err) {
			unsure = true
		} else if !again(err) {
			break
		}
		if ctx.Err() != nil {
			break
		}
	}
	if unsure {
		return fmt.Errorf("%w: %w", bus.ErrUnacknowledged, failure)
	}
	return failure
}

func (l *Log) putOnce(ctx context.Context, e bus.Entry) error {
	ctx, cancel := context.WithTimeout(ctx, putTimeout)
	defer cancel()
	_, err := l.opts.Client.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: &l.opts.Table, Item: toItem(e),
		ConditionExpression: aws.String("attribute_not_exists(s) AND attribute_not_exists(v)"),
	}, func(o *dynamodb.Options) { o.Retryer = aws.NopRetryer{} }) // put does that, and has to know of each
	return err
}

func (l *Log) isOurs(ctx context.Context, e bus.Entry) bool {
	there, err := l.read(ctx, bus.Cursor{Stream: e.Stream, Version: e.Version - 1}, 1)
	return err == nil && len(there) == 1 && there[0].Version == e.Version && slices.Equal(there[0].Lines(), e.Lines())
}

// answered says whether DynamoDB refused a request and so did not store it; an
// answer of 500 and above leaves that open, as does none.
func answered(err error) bool {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return false
	}
	return api.ErrorFault() != smithy.FaultServer || throttled(api.ErrorCode())
}

// again says whether a refusal may end by itself.
func again(err error) bool {
	var api smithy.APIError
	return errors.As(err, &api) && throttled(api.ErrorCode())
}

func throttled(code string) bool {
	switch code {
	case "ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded", "Throttling":
		return true
	}
	return false
}

// failed says what to look at.
func (l *Log) failed(doing string, err error) error {
	hint := ""
	var api smithy.APIError
	if errors.As(err, &api) {
		switch code := api.ErrorCode(); {
		case throttled(code):
			hint = "; the table's capacity is used up, and it is tried again"
		case code == "ResourceNotFoundException":
			hint = "; is the environment and the region in EVENTHORIZON right?"
		case slices.Contains([]string{"ExpiredTokenException", "UnrecognizedClientException", "InvalidSignatureException", "AccessDeniedException", "MissingAuthenticationTokenException", "InvalidAccessKeyId", "IncompleteSignatureException"}, code):
			hint = "; the credentials in EVENTHORIZON (or AWS_ACCESS_KEY_ID and its companions) are expired, wrong or may not do this"
		}
	}
	if l.isClosed() {
		return bus.ErrClosed
	}
	return fmt.Errorf("%w: %s in the table %s: %w%s", bus.ErrUnavailable, doing, l.opts.Table, alike(err), hint)
}

// alikeError is an error with another text.
type alikeError struct {
	text string
	err  error
}

func (e *alikeError) Error() string { return e.text }
func (e *alikeError) Unwrap() error { return e.err }

// alike leaves out of an error's text what differs from one request to the next,
// because followers log a reason once: the id of the request and our own port.
func alike(err error) error {
	text := err.Error()
	var response *awshttp.ResponseError
	if errors.As(err, &response) && response.RequestID != "" {
		text = strings.ReplaceAll(text, "RequestID: "+response.RequestID+", ", "")
	}
	var network *net.OpError
	if errors.As(err, &network) && network.Source != nil {
		text = strings.ReplaceAll(text, network.Source.String()+"->", "")
	}
	return &alikeError{text, err}
}

func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
