package auth

import (
	"fmt"
	"net/netip"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/gohcl"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// ParseIPRules reads rules in HCL:
//
//	allow_all { prefix = "192.168.1.0/24" }
//	allow_specified {
//	  prefix = "100.56.80.66/32"
//	  apps   = ["test"]
//	}
//
// Errors name the file and the line.
func ParseIPRules(name string, data []byte) (*IPRules, error) {
	file, diags := hclsyntax.ParseConfig(data, name, hcl.InitialPos)
	if diags.HasErrors() {
		return nil, fmt.Errorf("IP rules: %w", firstDiagnostic(diags))
	}
	content, diags := file.Body.Content(&hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{{Type: "allow_all"}, {Type: "allow_specified"}}})
	if diags.HasErrors() {
		return nil, fmt.Errorf("IP rules: %w", firstDiagnostic(diags))
	}
	var rules []IPRule
	for _, block := range content.Blocks {
		rule, err := ipRule(block)
		if err != nil {
			return nil, fmt.Errorf("IP rules: %w", err)
		}
		rules = append(rules, rule)
	}
	made, err := NewIPRules(rules)
	if err != nil {
		return nil, fmt.Errorf("IP rules: %s: %w (see --ip-rules)", name, err)
	}
	return made, nil
}

func ipRule(block *hcl.Block) (IPRule, error) {
	rule := IPRule{All: block.Type == "allow_all"}
	var prefix string
	var diags hcl.Diagnostics
	if rule.All {
		var body struct {
			Prefix string `hcl:"prefix"`
		}
		diags = gohcl.DecodeBody(block.Body, nil, &body)
		prefix = body.Prefix
	} else {
		var body struct {
			Prefix string   `hcl:"prefix"`
			Apps   []string `hcl:"apps"`
		}
		diags = gohcl.DecodeBody(block.Body, nil, &body)
		prefix, rule.Apps = body.Prefix, body.Apps
	}
	if diags.HasErrors() {
		return rule, firstDiagnostic(diags)
	}
	at := fmt.Sprintf("%s:%d: %s", block.DefRange.Filename, block.DefRange.Start.Line, block.Type)
	if !rule.All && len(rule.Apps) == 0 {
		return rule, fmt.Errorf("%s: apps is empty; it would let nobody in", at)
	}
	var err error
	if rule.Prefix, err = netip.ParsePrefix(prefix); err != nil {
		return rule, fmt.Errorf("%s: prefix %q: want an address and a length such as 192.168.1.0/24 (one address is /32, or /128 in IPv6)", at, prefix)
	}
	return rule, nil
}

// firstDiagnostic is the first of what HCL found, in one line.
func firstDiagnostic(diags hcl.Diagnostics) error {
	d := diags[0]
	for _, other := range diags {
		if other.Severity == hcl.DiagError {
			d = other
			break
		}
	}
	where := ""
	if d.Subject != nil {
		where = fmt.Sprintf("%s:%d,%d: ", d.Subject.Filename, d.Subject.Start.Line, d.Subject.Start.Column)
	}
	return fmt.Errorf("%s%s: %s", where, d.Summary, d.Detail)
}
