package lambda

import (
	"fmt"
	"strings"
)

// accountOf checks a function's name, which may be its ARN or the part of it that
// begins with the account, and returns the account.
func accountOf(name, region string) (string, error) {
	if name == "" {
		return "", fmt.Errorf("function_name is missing")
	}
	if region == "" {
		return "", fmt.Errorf("region_id is missing")
	}
	parts := strings.Split(name, ":")
	switch {
	case len(parts) >= 7 && parts[0] == "arn" && parts[2] == "lambda" && parts[5] == "function":
		if parts[3] != region {
			return "", fmt.Errorf("function_name %q is in the region %s, and region_id says %q", name, parts[3], region)
		}
		return parts[4], nil
	case len(parts) >= 3 && parts[1] == "function":
		return parts[0], nil
	}
	return noAccount, nil
}

// newRoute is where a function is called.
func newRoute(function, qualifier string, e *endpoint, streamed bool) route {
	version, action := "2015-03-31", "invocations"
	if streamed {
		version, action = "2021-11-15", "response-streaming-invocations"
	}
	name := escapePath(function)
	path := e.base + "/" + version + "/functions/" + name + "/" + action
	// In the canonical request the path is escaped once more.
	canonical := e.base + "/" + version + "/functions/" + escapePath(name) + "/" + action
	query := ""
	if qualifier != "" {
		query = "Qualifier=" + escapePath(qualifier)
	}
	target := path
	if query != "" {
		target += "?" + query
	}
	return route{
		line:      "POST " + target + " HTTP/1.1\r\nHost: " + e.host + "\r\n",
		canonical: "POST\n" + canonical + "\n" + query + "\n",
		host:      e.host,
		tail:      true,
	}
}
