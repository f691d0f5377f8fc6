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
	{"application/json", true, "json map"},
	{"application/manifest+json", true, "webmanifest"},
	{"application/ld+json", true, "jsonld"},
	{"application/geo+json", true, "geojson"},
	{"application/xml", true, "xml xsl"},
	{"application/xhtml+xml", true, "xhtml"},
	{"application/rss+xml", true, "rss"},
	{"application/atom+xml", true, "atom"},
	{"image/svg+xml", true, "svg"},
	{"application/wasm", true, "wasm"},
	{"text/plain; charset=utf-8", true, "txt text log conf ini"},
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

func mimeOf(name string) uint8 {
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
