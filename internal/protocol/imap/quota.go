package imap

// room refuses, with KindQuota, what would fill the mailbox beyond its limit,
// before it is sent.
func (s *session) room(octets int64) error { return s.box.Room(octets) }
