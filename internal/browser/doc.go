// Package browser has the tests that look at the admin page as people do: the
// real binary serves, and Debian's chromium shows. They skip without chromium
// unless EDGEROUTER_TEST_REQUIRE names it. With -args -screenshots DIR they
// write the pictures of docs/admin.md there.
package browser
