package httpcache

import (
	"net/http"
	"strings"
	"time"
)

// date reads an HTTP date in one of the three forms of RFC 9110 section 5.6.7;
// false for anything else, which time.Parse would often read as well. The name of
// the day is not compared with the date.
func date(s string) (time.Time, bool) {
	day, rest, found := strings.Cut(s, " ")
	if !found {
		return time.Time{}, false
	}
	layout, name := time.ANSIC, day
	days := shortDays
	if strings.HasSuffix(day, ",") {
		layout, name = http.TimeFormat, day[:len(day)-1]
		if len(name) > 3 {
			layout, days = rfc850, longDays
		}
	}
	if name == "" || !strings.Contains(days, " "+name+" ") {
		return time.Time{}, false
	}
	_, layout, _ = strings.Cut(layout, " ")
	t, err := time.Parse(layout, rest)
	if err != nil || t.Format(layout) != rest {
		return time.Time{}, false
	}
	if len(name) > 3 {
		// Two digits of a year that seem to be more than 50 years ahead are of the
		// century before.
		now := time.Now().UTC()
		t = t.AddDate(now.Year()/100*100+t.Year()%100-t.Year(), 0, 0)
		if t.After(now.AddDate(50, 0, 0)) {
			t = t.AddDate(-100, 0, 0)
		}
	}
	return t, true
}

const (
	rfc850    = "Monday, 02-Jan-06 15:04:05 GMT"
	shortDays = " Mon Tue Wed Thu Fri Sat Sun "
	longDays  = " Monday Tuesday Wednesday Thursday Friday Saturday Sunday "
)
