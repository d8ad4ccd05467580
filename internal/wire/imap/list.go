package imap

// List is the arguments of LIST and LSUB (RFC 9051 6.3.9, RFC 5258, RFC 5819,
// RFC 6154). Extended says that selection or return options or several patterns
// were given.
type List struct {
	Reference string
	Patterns  []string
	Extended  bool

	SelectSubscribed, SelectRemote, SelectRecursive, SelectSpecialUse  bool
	ReturnSubscribed, ReturnChildren, ReturnSpecialUse, ReturnMyRights bool
	ReturnStatus                                                       StatusItems // 0 if not asked for
}

// ReadList reads LIST or LSUB.
func ReadList(r *Reader) (l List, err error) {
	if err = r.SP(); err != nil {
		return l, err
	}
	if r.Peek() == '(' {
		l.Extended = true
		if err = r.List(func() error { return l.selection(r) }); err != nil {
			return l, err
		}
		if l.SelectRecursive && !l.SelectSubscribed && !l.SelectSpecialUse {
			return l, syntax("RECURSIVEMATCH needs another option")
		}
		if err = r.SP(); err != nil {
			return l, err
		}
	}
	if l.Reference, err = r.Mailbox(); err != nil {
		return l, err
	}
	if err = r.SP(); err != nil {
		return l, err
	}
	if r.Peek() == '(' {
		l.Extended = true
		err = r.List(func() error { return l.pattern(r) })
	} else {
		err = l.pattern(r)
	}
	if err != nil {
		return l, err
	}
	if r.Byte(' ') {
		l.Extended = true
		if k, err := r.Keyword(); err != nil || k != "RETURN" {
			return l, syntax("Expected RETURN")
		}
		if err = r.SP(); err != nil {
			return l, err
		}
		if err = r.List(func() error { return l.returns(r) }); err != nil {
			return l, err
		}
	}
	return l, r.End()
}

func (l *List) pattern(r *Reader) error {
	p, err := r.listMailbox()
	l.Patterns = append(l.Patterns, p)
	return err
}

func (l *List) selection(r *Reader) error {
	k, err := r.Keyword()
	switch k {
	case "SUBSCRIBED":
		l.SelectSubscribed, l.ReturnSubscribed = true, true
	case "REMOTE":
		l.SelectRemote = true
	case "RECURSIVEMATCH":
		l.SelectRecursive = true
	case "SPECIAL-USE":
		l.SelectSpecialUse, l.ReturnSpecialUse = true, true
	default:
		if err == nil {
			err = syntax("Unknown selection option")
		}
	}
	return err
}

func (l *List) returns(r *Reader) error {
	k, err := r.Keyword()
	switch k {
	case "SUBSCRIBED":
		l.ReturnSubscribed = true
	case "CHILDREN":
		l.ReturnChildren = true
	case "SPECIAL-USE":
		l.ReturnSpecialUse = true
	case "MYRIGHTS":
		l.ReturnMyRights = true
	case "STATUS":
		if err = r.SP(); err == nil {
			l.ReturnStatus, err = readStatusItems(r)
		}
	default:
		if err == nil {
			err = syntax("Unknown return option")
		}
	}
	return err
}

// StatusItems is a set of STATUS data items.
type StatusItems uint16

// The STATUS data items (RFC 9051 6.3.11, RFC 7162, RFC 7889, RFC 8438, RFC 8474).
const (
	StatusMessages StatusItems = 1 << iota
	StatusUIDNext
	StatusUIDValidity
	StatusUnseen
	StatusRecent
	StatusDeleted
	StatusSize
	StatusHighestModSeq
	StatusAppendLimit
	StatusMailboxID
)

// statusItem returns the bit of a name in upper case, 0 if there is none.
func statusItem(name string) StatusItems {
	switch name {
	case "MESSAGES":
		return StatusMessages
	case "UIDNEXT":
		return StatusUIDNext
	case "UIDVALIDITY":
		return StatusUIDValidity
	case "UNSEEN":
		return StatusUnseen
	case "RECENT":
		return StatusRecent
	case "DELETED":
		return StatusDeleted
	case "SIZE":
		return StatusSize
	case "HIGHESTMODSEQ":
		return StatusHighestModSeq
	case "APPENDLIMIT":
		return StatusAppendLimit
	case "MAILBOXID":
		return StatusMailboxID
	}
	return 0
}

// Status is the arguments of STATUS.
type Status struct {
	Mailbox string
	Items   StatusItems
}

// ReadStatus reads STATUS.
func ReadStatus(r *Reader) (s Status, err error) {
	if s.Mailbox, err = spMailbox(r); err != nil {
		return s, err
	}
	if err = r.SP(); err != nil {
		return s, err
	}
	if s.Items, err = readStatusItems(r); err != nil {
		return s, err
	}
	return s, r.End()
}

func readStatusItems(r *Reader) (items StatusItems, err error) {
	err = r.List(func() error {
		k, err := r.Keyword()
		if err != nil {
			return err
		}
		bit := statusItem(k)
		if bit == 0 {
			return syntax("Unknown status item")
		}
		items |= bit
		return nil
	})
	if err == nil && items == 0 {
		err = syntax("Expected status items")
	}
	return items, err
}
