// Package quickstart is what "edgerouter serve --dev" serves when no application
// is configured: definitions to look at and to change, and two peers that run in
// the process so that there is something to proxy to.
//
// Addresses and the place of a token go in, a file of application definitions
// comes out (Definitions); StartPeers gives the addresses.
package quickstart

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"text/template"
)

//go:embed applications.json.tmpl
var definitions string

// Params fill the definitions in.
type Params struct {
	// Peers are the URLs of the peers, as StartPeers returns them.
	Peers []string
	// Token protects private.localhost and admin.localhost: the secret itself, or
	// file:PATH or env:NAME.
	Token string
	// Manifest is the id of the static site's, as DeploySite returns it.
	Manifest string
	// HTTPSPort is where TLS is served, for links; "" when it is 443.
	HTTPSPort string
}

// Definitions returns the applications of the quickstart as the content of an
// application file.
func Definitions(p Params) ([]byte, error) {
	quote := func(v any) (string, error) {
		b, err := json.Marshal(v)
		return string(b), err
	}
	t, err := template.New("applications.json").Funcs(template.FuncMap{"json": quote}).Parse(definitions)
	if err != nil {
		return nil, fmt.Errorf("the quickstart's definitions: %w", err)
	}
	var out bytes.Buffer
	if err := t.Execute(&out, p); err != nil {
		return nil, fmt.Errorf("the quickstart's definitions: %w", err)
	}
	return out.Bytes(), nil
}
