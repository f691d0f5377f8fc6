package eventhorizon

import (
	"errors"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"edgerouter/bus"
)

func TestParseConfig(t *testing.T) {
	c, err := ParseConfig("prod:7:AKID:s/e+c:eu-central-1")
	if err != nil || c != (Config{"prod", "7", "AKID", "s/e+c", "eu-central-1"}) || c.Table() != "prod_eh_events" {
		t.Errorf("%+v, %v", c, err)
	}
	if c, err := ParseConfig("dev:1:::us-east-1"); err != nil || c.KeyID != "" || c.Table() != "dev_eh_events" {
		t.Errorf("%+v, %v", c, err)
	}
	for _, text := range []string{
		"", "prod", "prod:1:hunter2:hunter2", "test:1:hunter2:hunter2:eu", "prod::hunter2:hunter2:eu", "prod:1:hunter2::eu", "prod:1::hunter2:eu", "prod:1:hunter2:hunter2:",
	} {
		if _, err := ParseConfig(text); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestItems(t *testing.T) {
	s := func(v string) types.AttributeValue { return &types.AttributeValueMemberS{Value: v} }
	type item = map[string]types.AttributeValue
	for _, e := range []bus.Entry{
		{Cursor: bus.Cursor{Stream: "/a", Version: 0}, Meta: "meta"},
		{Cursor: bus.Cursor{Stream: "/a", Version: 1 << 40}, Events: []string{"one", "two"}},
	} {
		if got, err := fromItem(toItem(e)); err != nil || !got.Equal(e) {
			t.Errorf("%+v became %+v, %v", e, got, err)
		}
	}
	if _, err := fromItem(item{"s": s("/a"), "v": number(1), "more": s("x")}); err != nil {
		t.Errorf("without meta_event and e, and with what is not known: %v", err)
	}
	for name, bad := range map[string]item{
		"empty": {}, "no version": {"s": s("/a")}, "version is text": {"s": s("/a"), "v": s("1")}, "negative": {"s": s("/a"), "v": number(-1)},
		"meta is a number": {"s": s("/a"), "v": number(1), "meta_event": number(1)}, "events are text": {"s": s("/a"), "v": number(1), "e": s("x")},
		"an event is a number": {"s": s("/a"), "v": number(1), "e": &types.AttributeValueMemberL{Value: []types.AttributeValue{number(1)}}},
	} {
		if _, err := fromItem(bad); !errors.Is(err, bus.ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
