package pop3

import "fmt"

// stat is STAT (RFC 1939 5).
func (s *session) stat() error {
	count, size := 0, int64(0)
	for i := range s.drop {
		if !s.drop[i].deleted {
			count++
			size += s.drop[i].size
		}
	}
	return s.ok(fmt.Sprintf("%d %d", count, size))
}
