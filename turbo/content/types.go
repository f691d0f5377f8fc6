package content

import "strings"

type mimeType struct {
	name         string
	compressible bool
	extensions   string // with spaces between
}

// types are the content types of files by extension. The first is what files
// without a known one get: browsers then save it instead of guessing.
var types = [...]mimeType{
	{"application/octet-stream", false, "bin dat"},
	{"text/html; charset=utf-8", true, "html htm xhtm"},
	{"text/css; charset=utf-8", true, "css"},
	{"text/javascript; charset=utf-8", true, "js mjs cjs"}, // RFC 9239
	{"application/json", true, "json map topojson har"},
	{"application/manifest+json", true, "webmanifest"},
	{"application/ld+json", true, "jsonld"},
	{"application/geo+json", true, "geojson"},
	{"application/xml", true, "xml xsl"},
	{"application/xhtml+xml", true, "xhtml"},
	{"application/rss+xml", true, "rss"},
	{"application/atom+xml", true, "atom"},
	{"image/svg+xml", true, "svg"},
	{"image/svg+xml", false, "svgz"}, // compressed already, see Kind.Gzipped
	{"application/wasm", true, "wasm"},
	{"text/plain; charset=utf-8", true, "txt text log conf ini scss sass less styl tsx mts cts vue svelte astro mdx coffee flow hbs mustache njk pug ejs liquid glsl frag vert graphql gql proto properties diff patch sh py rb rs go java c h cpp cs php lock"},
	{"text/jsx; charset=utf-8", true, "jsx"},
	{"text/wgsl; charset=utf-8", true, "wgsl"},
	{"text/tab-separated-values; charset=utf-8", true, "tsv"},
	{"text/vcard; charset=utf-8", true, "vcf"},
	{"application/json5", true, "json5 jsonc"},
	{"application/x-ndjson", true, "ndjson jsonl"},
	{"application/importmap+json", true, "importmap"},
	{"application/gpx+xml", true, "gpx"},
	{"application/vnd.google-earth.kml+xml", true, "kml"},
	{"application/xslt+xml", true, "xslt"},
	{"application/rdf+xml", true, "rdf"},
	{"model/obj", true, "obj"},
	{"model/mtl", true, "mtl"},
	{"model/stl", true, "stl"},
	{"image/ktx2", false, "ktx2"},
	{"audio/webm", false, "weba"},
	{"audio/midi", false, "mid midi"},
	{"image/jp2", false, "jp2"},
	{"image/heif", false, "heif"},
	{"model/vnd.usdz+zip", false, "usdz"},
	{"text/markdown; charset=utf-8", true, "md markdown"},
	{"text/csv; charset=utf-8", true, "csv"},
	{"text/vtt; charset=utf-8", true, "vtt"},
	{"text/calendar; charset=utf-8", true, "ics"},
	{"application/yaml", true, "yaml yml"}, // RFC 9512
	{"application/toml", true, "toml"},
	{"font/ttf", true, "ttf"},
	{"font/otf", true, "otf"},
	{"font/collection", true, "ttc"},
	{"application/vnd.ms-fontobject", true, "eot"},
	{"image/x-icon", true, "ico cur"},
	{"image/bmp", true, "bmp"},
	{"model/gltf+json", true, "gltf"},
	{"application/rtf", true, "rtf"},
	{"application/postscript", true, "ps eps"},
	{"font/woff", false, "woff"},
	{"font/woff2", false, "woff2"},
	{"image/png", false, "png"},
	{"image/apng", false, "apng"},
	{"image/jpeg", false, "jpg jpeg jpe"},
	{"image/gif", false, "gif"},
	{"image/webp", false, "webp"},
	{"image/avif", false, "avif"},
	{"image/jxl", false, "jxl"},
	{"image/heic", false, "heic"},
	{"image/tiff", false, "tif tiff"},
	{"video/mp4", false, "mp4 m4v"},
	{"video/webm", false, "webm"},
	{"video/ogg", false, "ogv"},
	{"video/quicktime", false, "mov"},
	{"video/mp2t", false, "ts"},
	{"application/vnd.apple.mpegurl", true, "m3u8"},
	{"application/dash+xml", true, "mpd"},
	{"audio/mpeg", false, "mp3"},
	{"audio/mp4", false, "m4a"},
	{"audio/aac", false, "aac"},
	{"audio/ogg", false, "ogg oga opus"},
	{"audio/flac", false, "flac"},
	{"audio/wav", false, "wav"},
	{"model/gltf-binary", false, "glb"},
	{"application/pdf", false, "pdf"},
	{"application/zip", false, "zip"},
	{"application/gzip", false, "gz tgz"},
	{"application/zstd", false, "zst"},
	{"application/x-bzip2", false, "bz2"},
	{"application/x-xz", false, "xz"},
	{"application/x-7z-compressed", false, "7z"},
	{"application/x-tar", false, "tar"},
	{"application/java-archive", false, "jar"},
	{"application/epub+zip", false, "epub"},
	{"application/vnd.openxmlformats-officedocument.wordprocessingml.document", false, "docx"},
	{"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", false, "xlsx"},
	{"application/vnd.openxmlformats-officedocument.presentationml.presentation", false, "pptx"},
	{"application/vnd.debian.binary-package", false, "deb"},
	{"application/x-apple-diskimage", false, "dmg"},
	{"application/vnd.android.package-archive", false, "apk"},
}

// byExtension finds a type; it is built once and only read.
var byExtension = func() map[string]uint8 {
	m := map[string]uint8{}
	for i, t := range types {
		for _, ext := range strings.Fields(t.extensions) {
			m[ext] = uint8(i)
		}
	}
	return m
}()

// byName are types of files without an extension: what RFC 8615 and operating
// systems look for under fixed names, and texts that come with packages.
var byName = func() map[string]uint8 {
	m := map[string]uint8{}
	for extension, names := range map[string]string{
		"json": "apple-app-site-association openid-configuration oauth-authorization-server oauth-protected-resource nodeinfo",
		"txt":  "LICENSE LICENCE README CHANGELOG CHANGES NOTICE AUTHORS CONTRIBUTORS COPYING CNAME",
	} {
		for _, name := range strings.Fields(names) {
			m[name] = byExtension[extension]
		}
	}
	return m
}()

func mimeOf(name string) uint8 {
	if i, ok := byName[name]; ok {
		return i
	}
	if strings.HasSuffix(name, ".d.ts") { // declarations of TypeScript, and no video
		return byExtension["mts"]
	}
	dot := strings.LastIndexByte(name, '.')
	if dot < 0 {
		return 0
	}
	ext := name[dot+1:]
	if i, ok := byExtension[ext]; ok {
		return i
	}
	return byExtension[strings.ToLower(ext)]
}
