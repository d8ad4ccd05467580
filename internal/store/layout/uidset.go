package layout

// UIDSet is a set of UIDs as ascending, non-overlapping ranges, both ends
// included.
type UIDSet []UIDRange

// UIDRange is From to To, both included.
type UIDRange struct{ From, To UID }

// Contains reports whether u is in the set.
func (s UIDSet) Contains(u UID) bool {
	lo, hi := 0, len(s)
	for lo < hi {
		mid := (lo + hi) / 2
		if s[mid].To < u {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo < len(s) && s[lo].From <= u
}

// UIDs makes a set of single UIDs, which must ascend.
func UIDs(us ...UID) UIDSet {
	var s UIDSet
	for _, u := range us {
		if n := len(s); n > 0 && s[n-1].To+1 == u {
			s[n-1].To = u
		} else {
			s = append(s, UIDRange{u, u})
		}
	}
	return s
}
