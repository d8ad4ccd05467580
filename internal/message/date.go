package message

import (
	"strings"
	"time"
)

// ParseDate reads a Date field as RFC 5322 3.3 and 4.3 write it, and as others
// do: missing weekday, seconds or zone, zone names, asctime order, dashes between
// day, month and year. ok is false where no day, month and year can be found.
// A missing zone is UTC. Years of two digits are 1950 to 2049.
func ParseDate(s string) (t time.Time, ok bool) {
	var d dateFields
	d.zone = time.UTC
	for n := 0; s != "" && n < 32; n++ {
		s = skipComments(s)
		i := 0
		for i < len(s) && strings.IndexByte(" \t\r\n,;(", s[i]) < 0 {
			i++
		}
		if i == 0 {
			s = s[min(1, len(s)):]
			continue
		}
		d.token(s[:i])
		s = s[i:]
	}
	if d.day == 0 || d.month == 0 || !d.hasYear {
		return t, false
	}
	t = time.Date(d.year, d.month, d.day, d.hour, d.min, d.sec, 0, d.zone)
	if t.Year() < 1 || t.Year() > 9999 {
		return time.Time{}, false
	}
	return t, true
}

type dateFields struct {
	year, day, hour, min, sec int
	month                     time.Month
	hasYear, hasTime, hasZone bool
	zone                      *time.Location
}

func (d *dateFields) token(w string) {
	c := w[0]
	switch {
	case (c == '+' || c == '-') && len(w) >= 3:
		d.offset(w)
	case strings.IndexByte(w, ':') > 0:
		d.clock(w)
	case strings.IndexByte(w, '-') > 0 || strings.IndexByte(w, '/') > 0:
		for p := range strings.FieldsFuncSeq(w, func(r rune) bool { return r == '-' || r == '/' }) {
			d.token(p)
		}
	case c >= '0' && c <= '9':
		n, used := number(w)
		if used == len(w) {
			d.number(n, used)
		} else if used == 4 && w[used] == 'T' || used == 2 && w[used] == 'T' {
			d.number(n, used)
			d.clock(w[used+1:])
		}
	default:
		d.word(w)
	}
}

// number takes a day or a year: a year has four digits or comes second.
func (d *dateFields) number(n, digits int) {
	switch {
	case digits <= 2 && d.day == 0 && n >= 1 && n <= 31:
		if d.hasYear && d.month == 0 && n <= 12 { // ISO: the month follows the year
			d.month = time.Month(n)
			return
		}
		d.day = n
	case !d.hasYear:
		switch {
		case digits <= 2 && n < 50:
			n += 2000
		case digits <= 3:
			n += 1900
		}
		d.year, d.hasYear = n, true
	}
}

// clock reads hh:mm[:ss[.frac]] with a zone possibly glued on, or dd'T'hh:mm.
func (d *dateFields) clock(w string) {
	if i := strings.IndexByte(w, 'T'); i > 0 {
		for p := range strings.SplitSeq(w[:i], "-") {
			if n, used := number(p); used > 0 {
				d.number(n, used)
			}
		}
		w = w[i+1:]
	}
	if d.hasTime {
		return
	}
	var v [3]int
	for k := 0; k < 3; k++ {
		n, used := number(w)
		if used == 0 {
			break
		}
		v[k], w = n, w[used:]
		if w == "" || w[0] != ':' {
			break
		}
		w = w[1:]
	}
	if v[0] > 24 || v[1] > 59 || v[2] > 60 {
		return
	}
	d.hour, d.min, d.sec, d.hasTime = v[0], v[1], v[2], true
	if i := strings.IndexAny(w, "+-Z"); i >= 0 {
		d.offset(w[i:])
	} else if len(w) == 2 {
		d.word(w)
	}
}

// offset reads +hhmm, +hh:mm or +hh.
func (d *dateFields) offset(w string) {
	if d.hasZone || w[0] == 'Z' {
		d.hasZone = true
		return
	}
	n, used := number(w[1:])
	rest := w[1+used:]
	switch {
	case used == 4:
		n = n/100*60 + n%100
	case used <= 2 && len(rest) == 3 && rest[0] == ':':
		m, _ := number(rest[1:])
		n = n*60 + m
	case used <= 2 && used > 0:
		n *= 60
	default:
		return
	}
	if n > 24*60 {
		return
	}
	if w[0] == '-' {
		n = -n
	}
	d.zone, d.hasZone = time.FixedZone("", n*60), true
}

// word reads month names, zone names and am/pm.
func (d *dateFields) word(w string) {
	const months = "janfebmaraprmayjunjulaugsepoctnovdec"
	w = lower(strings.TrimRight(w, "."))
	if len(w) >= 3 {
		if i := strings.Index(months, w[:3]); i >= 0 && i%3 == 0 && d.month == 0 {
			d.month = time.Month(i/3 + 1)
			return
		}
	}
	if d.hasTime && w == "pm" && d.hour < 12 {
		d.hour += 12
	}
	if d.hasTime && w == "am" && d.hour == 12 {
		d.hour = 0
	}
	if !d.hasTime || d.hasZone {
		return
	}
	if i := strings.IndexAny(w, "+-"); i > 0 { // GMT+0100
		d.offset(w[i:])
		return
	}
	if h, ok := zoneHours(w); ok {
		d.zone, d.hasZone = time.FixedZone(strings.ToUpper(w), h*3600), true
	}
}

// zoneHours knows the zones of RFC 5322 4.3 and two frequent ones.
func zoneHours(w string) (int, bool) {
	switch w {
	case "gmt", "ut", "utc", "z":
		return 0, true
	case "edt":
		return -4, true
	case "est", "cdt":
		return -5, true
	case "cst", "mdt":
		return -6, true
	case "mst", "pdt":
		return -7, true
	case "pst":
		return -8, true
	case "cet", "met", "bst":
		return 1, true
	case "cest", "mest", "eet":
		return 2, true
	}
	return 0, false
}

// number reads decimal digits at the start of w.
func number(w string) (n, used int) {
	for used < len(w) && used < 6 && w[used] >= '0' && w[used] <= '9' {
		n = n*10 + int(w[used]-'0')
		used++
	}
	return n, used
}
