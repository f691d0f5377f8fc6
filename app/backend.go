package app

// BackendKind says what answers an application's requests.
type BackendKind string

// The kinds of backend. The alias reverse_proxy is read as peer_set.
const (
	BackendPeerSet         BackendKind = "peer_set"
	BackendAWSLambda       BackendKind = "aws_lambda"
	BackendS3StaticWebsite BackendKind = "s3_static_website"
	BackendTurbocharger    BackendKind = "turbocharger"
	BackendRedirect        BackendKind = "redirect"
	BackendAuthV0          BackendKind = "auth_v0"
	BackendAuthSSO         BackendKind = "auth_sso"
	BackendAuthForward     BackendKind = "auth_forward"
	BackendAuthOIDC        BackendKind = "auth_oidc"
	BackendAdmin           BackendKind = "edgerouter_admin"
	BackendPromMetrics     BackendKind = "prom_metrics"
)

// Backend is a kind and the options of that kind; exactly the options that
// belong to Kind are set, and none for edgerouter_admin and prom_metrics.
type Backend struct {
	// Kind says what answers; the options are in the field KIND_opts.
	Kind BackendKind `json:"kind" enum:"peer_set,aws_lambda,s3_static_website,turbocharger,redirect,auth_v0,auth_sso,auth_forward,auth_oidc,edgerouter_admin,prom_metrics" enumalias:"reverse_proxy=peer_set"`
	// PeerSet is for kind peer_set: HTTP servers.
	PeerSet *PeerSetOpts `json:"peer_set_opts,omitempty" alias:"reverse_proxy_opts"`
	// AWSLambda is for kind aws_lambda: a function.
	AWSLambda *AWSLambdaOpts `json:"aws_lambda_opts,omitempty"`
	// S3StaticWebsite is for kind s3_static_website: a deployed version in a bucket.
	S3StaticWebsite *S3StaticWebsiteOpts `json:"s3_static_website_opts,omitempty"`
	// Turbocharger is for kind turbocharger: files by content from the store.
	Turbocharger *TurbochargerOpts `json:"turbocharger_opts,omitempty"`
	// Redirect is for kind redirect: another URL.
	Redirect *RedirectOpts `json:"redirect_opts,omitempty"`
	// AuthV0 is for kind auth_v0: a shared token before another backend.
	AuthV0 *AuthV0Opts `json:"auth_v0_opts,omitempty"`
	// AuthSSO is for kind auth_sso: function61 id before another backend.
	AuthSSO *AuthSSOOpts `json:"auth_sso_opts,omitempty"`
	// AuthForward is for kind auth_forward: a server that decides, before another backend.
	AuthForward *AuthForwardOpts `json:"auth_forward_opts,omitempty"`
	// AuthOIDC is for kind auth_oidc: an OpenID provider before another backend.
	AuthOIDC *AuthOIDCOpts `json:"auth_oidc_opts,omitempty"`
}

// AWSLambdaOpts name a function and how it is called.
type AWSLambdaOpts struct {
	// FunctionName is the function's name or ARN.
	FunctionName string `json:"function_name"`
	// RegionID is the AWS region, such as eu-central-1.
	RegionID string `json:"region_id"`
	// PayloadFormatVersion is the form of the event: "1.0" (REST proxy), "2.0"
	// (HTTP API) or "alb" (load balancer).
	PayloadFormatVersion string `json:"payload_format_version,omitempty" enum:"1.0,2.0,alb" default:"1.0"`
	// Qualifier is a version or alias of the function.
	Qualifier string `json:"qualifier,omitempty"`
	// InvokeMode waits for the whole answer, or passes it on as it comes.
	InvokeMode string `json:"invoke_mode,omitempty" enum:"buffered,response_stream" default:"buffered"`
	// Timeout bounds one call; beyond it the client gets 504.
	Timeout Duration `json:"timeout,omitempty" max:"15m" default:"30s"`
	// MaxConcurrency bounds the calls at one time; 0 is no limit.
	MaxConcurrency int `json:"max_concurrency,omitempty" min:"0" default:"0"`
	// ALBMultiValue sends multi-value headers and query with format "alb".
	ALBMultiValue bool `json:"alb_multi_value,omitempty" default:"false"`
	// Turbocharger "off" ignores the advertisement header of the function.
	Turbocharger string `json:"turbocharger,omitempty" enum:"on,off" default:"on"`
}

// S3StaticWebsiteOpts name the bucket and version of a static site.
type S3StaticWebsiteOpts struct {
	// BucketName is the bucket that holds sites/APP_ID/VERSION/.
	BucketName string `json:"bucket_name"`
	// RegionID is the bucket's region, such as eu-central-1.
	RegionID string `json:"region_id"`
	// DeployedVersion is the version that is served; none answers 404 until the first deploy.
	DeployedVersion string `json:"deployed_version,omitempty"`
	// NotFoundPage is the file of the version that is sent with status 404.
	NotFoundPage string `json:"404_page,omitempty"`
	// SPAFallback is the file of the version that is sent with status 200 for unknown paths.
	SPAFallback string `json:"spa_fallback,omitempty"`
	// IndexDocument is the file that answers for a folder.
	IndexDocument string `json:"index_document,omitempty" default:"index.html"`
	// Immutable are patterns of files that browsers keep for a year without asking again, beside those with a hash in their name; never HTML.
	Immutable []string `json:"immutable,omitempty"`
}

// TurbochargerOpts name the manifest that is served.
type TurbochargerOpts struct {
	// Manifest is the id of the manifest: 43 characters of base64url.
	Manifest string `json:"manifest"`
	// NotFoundPage is the path that is sent with status 404.
	NotFoundPage string `json:"not_found_page,omitempty" default:"/404.html"`
	// SPAFallback is the path that is sent with status 200 for unknown paths.
	SPAFallback string `json:"spa_fallback,omitempty"`
	// PreviousManifests are searched, in this order, for paths that the manifest lacks.
	PreviousManifests []string `json:"previous_manifests,omitempty"`
	// Immutable are patterns of files that browsers keep for a year without asking again, beside those with a hash in their name; never HTML.
	Immutable []string `json:"immutable,omitempty"`
}

// RedirectOpts say where requests are sent.
type RedirectOpts struct {
	// To is an absolute URL or a path; {path} and {query} are filled in from the request.
	To string `json:"to"`
	// Code is the status of the redirect.
	Code int `json:"code,omitempty" enum:"301,302,303,307,308" default:"302"`
}
