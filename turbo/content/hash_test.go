package content

import "testing"

// bundled are names that bundlers gave to the files of one small project, in their
// default form or with [contenthash].
var bundled = map[string][]string{
	"esbuild":  {"main-5IEQCNSK.css", "mod103-5G6I2G3Q.js", "mod110-3HTB4BR4.js", "mod118-6YQ2C5YX.js", "mod18-XTGKFJTQ.js", "mod25-WT5KSAGF.js", "mod32-ECRTKLQK.css", "mod4-5OR6S22G.css", "mod47-FDYFRWFT.js", "mod54-VA6RONQR.js", "mod61-4WLEY5N4.js", "mod69-D7EFQH67.js", "mod76-L54ILEUO.js", "mod83-XNPJ47B5.js"},
	"vite":     {"index-D91RtDBR.js", "mod104-Dv4i0Mvg.js", "mod111-KCBwyh3P.js", "mod119-Dd1qs4S4.js", "mod19-dCuWTkDI.js", "mod26-DiZgNeQ1.js", "mod33-B9idzm4S.js", "mod40-C5MSVxcN.js", "mod48-C5dFgcDg.css", "mod55-kLO8cgaB.js", "mod62-BF5xBaWl.js", "mod7-D_BaOJyu.js", "mod77-RhBNM5rb.js", "mod84-BQfvwQZn.css"},
	"rollup":   {"mainw-LxCWDBzO.js", "mod104-VLhGcum5.js", "mod111-DsMPnszA.js", "mod119-Cl_ujSjt.js", "mod19-DsynQjPV.js", "mod26-BcD-1QU2.js", "mod33-UMa5WO7s.js", "mod40-uYjopULM.js", "mod48-B3QVr8yi.js", "mod55-B88gMK7m.js", "mod62-BTYijwyd.js", "mod7-C_b1WhNq.js", "mod77-2hXQRhuq.js", "mod84-JqGIaAlu.js"},
	"webpack":  {"1002.5d58ad48.js", "1828.89797540.js", "256.e7e99a17.js", "372.5674fe32.js", "4239.c1074d6e.js", "4597.c5baeacb.js", "5031.6c9f2dd3.js", "5737.c5be924b.js", "6145.8ac949b3.js", "7005.510bb729.js", "7427.4b5f8884.js", "806.7768b34d.js", "8646.41549f42.js", "9170.76eb74c9.js"},
	"webpack2": {"1002-ph2csvpV.js", "1828-V8lMha7q.js", "256-Xe8ss2SQ.js", "372-q_fj7c2u.js", "4239-kdxQkD69.js", "4597-6brOtiab.js", "5031-HuxO-o6B.js", "5737-vlq9RlV4.js", "6145-JhY3QeCJ.js", "7005-jR7_2vpp.js", "7427-rnAwozDR.js", "806-smFJMTri.js", "8646-azwntPjv.js", "9170-5KKci8F_.js"},
	"parcel":   {"b.073ac5f5.js", "mod104.933e118f.css", "mod111.2a51b31d.js", "mod119.9e0af8a5.js", "mod19.4cc2a16f.js", "mod26.f75507b7.js", "mod33.fbf011fd.js", "mod40.554d326d.js", "mod48.b529e8e6.css", "mod55.34a3f603.js", "mod62.2bc2eef6.js", "mod7.2c68594d.js", "mod77.1ac93977.js", "mod84.21ff4002.css"},
	"next":     {"main-app-4a7c1b7d53c93a5b.js", "webpack-1c9b86d9f2c9a0e1.js", "4bd1b696-100b9d70ed4e49c1.js", "page-8f2d1c3b4d5e6f70.js", "polyfills-42372ed130431b0a.js", "a34f9d1faa5f3315-s.p.woff2"},
	"others":   {"app.3f2a9c1b.chunk.js", "logo.6ce24c58023cc2f8fd88fe9d219db6c6.svg", "application-5d1e1f7f2a0e4d4bb6a6cf1f3e4ab0b5bb3c1e7de4c4e6f2f1a0b9c8d7e6f5a4.css", "blazor.0gq5n2gk1x.js", "app-3f2a9c1b4d5e6f70_bg.wasm", "guide_index.md.BfK3sd9A.lean.js", "photo.BfK3sd9A_Z1abcd.webp", "app.55e7cbb9ba48.css"},
}

// unhashed are names of files in real packages, versions and dates: what a browser
// keeps for ever would never be repaired.
var unhashed = []string{
	"snippetController2.js", "UniJIS2004-UTF16-H.bcmap", "Adobe-Japan1-0.bcmap", "KSCms-UHC-HW-V.bcmap", "addWeeks.js", "Object3D.js", "forkJoin.js", "endOfDay.js",
	"uniqueId.js", "isRegExp.mjs", "SSAOPass.js", "rtrimCSS.js", "bgYellow.js", "mjx-ncm-ssix.woff2", "ui-bg_diagonals-small_0_aaaaaa_40x40.png", "LICENSE_OPENJPEG",
	"jquery-migrate.js", "react-dom.production.min.js", "moment-2.30.1.js", "report-20240131.pdf", "IMG_20240131_123456.jpg", "decade90.css", "feed2024.xml", "2024face.js",
	"deadbeef.js", "facade.js", "bootstrap.bundle.min.js", "angular-animate.js", "d3-scale-chromatic.js", "highlight.pack.js", "Roboto-BlackItalic.woff2", "OpenSans-SemiBoldItalic.ttf",
	"iPhone15ProMax.png", "favicon-32x32.png", "apple-touch-icon-180x180.png", "three.module.js", "OrbitControls.js", "BufferGeometryUtils.js", "rfc9110.txt", "page-settings.js",
	"user-settings-dialog.js", "app-SETTINGS.js", "NotoSansMono-Regular.ttf", "KaTeX_Size4-Regular.woff2", "es2015.core.d.ts", "lib.es2022.regexp.js", "web.url-search-params.js", "fa-brands-400.woff2",
	"x86_64-linux-gnu.js", "v1.2.3-beta.4.js", "sha256.js", "base64url.js", "utf8decoder.js", "mp3player.js", "12345678.js", "17896441.js",
}

// TestHashedNames: of the names of bundlers nine in ten and more are known, the
// others are asked for again; of other names none is taken for one.
func TestHashedNames(t *testing.T) {
	for bundler, names := range bundled {
		missed := 0
		for _, name := range names {
			if !KindOf("/assets/" + name).Hashed {
				missed++
				t.Logf("%s: %s has a hash", bundler, name)
			}
		}
		if missed*7 > len(names) {
			t.Errorf("%s: %d of %d names are not known", bundler, missed, len(names))
		}
	}
	for _, name := range unhashed {
		if KindOf("/" + name).Hashed {
			t.Errorf("%s has no hash", name)
		}
	}
	for _, page := range []string{"/iPhone15ProMax.html", "/index.3f2a9c1b.html", "/p-DfK3sd9A.htm", "/x.3f2a9c1b4d5e6f70.xhtml"} {
		if KindOf(page).Hashed {
			t.Errorf("%s is a page", page)
		}
	}
}

func TestGlob(t *testing.T) {
	for _, c := range []struct {
		pattern, path string
		want          bool
	}{
		{"/assets/*", "/assets/a.js", true}, {"/assets/*", "/assets/b/a.js", false}, {"/assets/**", "/assets/b/a.js", true},
		{"*.woff2", "/a/b/c.woff2", true}, {"*.woff2", "/a/b/c.woff", false}, {"/*.js", "/a.js", true}, {"/*.js", "/a/b.js", false},
		{"/**/*.js", "/a/b/c.js", true}, {"/v?/*", "/v1/x", true}, {"/v?/*", "/v/x", false}, {"/a/**/z", "/a/b/c/z", true}, {"/a/**/z", "/a/b/c/zz", false},
		{"**", "/x/y", true}, {"", "/x", false}, {"/a*b*c", "/aXbYbc", true}, {"/a*b*c", "/aXb/c", false}, {"/a**b/*.c", "/axx/yb/b/q.c", true},
	} {
		if got := Glob(c.pattern, []byte(c.path)); got != c.want {
			t.Errorf("%q, %q: %v", c.pattern, c.path, got)
		}
	}
}
