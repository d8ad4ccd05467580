package imap

// StoreMode is what STORE does with the flags.
type StoreMode uint8

// The modes of STORE.
const (
	StoreSet StoreMode = iota
	StoreAdd
	StoreRemove
)

// Store is the arguments of STORE and UID STORE.
type Store struct {
	Set            SeqSet
	Mode           StoreMode
	Silent         bool
	Flags          []string
	UnchangedSince uint64
	HasUnchanged   bool
}

// ReadStore reads STORE or UID STORE (RFC 9051 6.4.6, RFC 7162 3.1.3).
func ReadStore(r *Reader) (s Store, err error) {
	if err = r.SP(); err != nil {
		return s, err
	}
	if s.Set, err = r.SeqSet(); err != nil {
		return s, err
	}
	if err = r.SP(); err != nil {
		return s, err
	}
	if r.Peek() == '(' {
		err = r.List(func() error {
			if k, err := r.Keyword(); err != nil || k != "UNCHANGEDSINCE" || !r.Byte(' ') {
				return syntax("Unknown modifier")
			}
			s.HasUnchanged = true
			s.UnchangedSince, err = r.Number()
			return err
		})
		if err == nil {
			err = r.SP()
		}
		if err != nil {
			return s, err
		}
	}
	if r.Byte('+') {
		s.Mode = StoreAdd
	} else if r.Byte('-') {
		s.Mode = StoreRemove
	}
	switch k, _ := r.Keyword(); k {
	case "FLAGS":
	case "FLAGS.SILENT":
		s.Silent = true
	default:
		return s, syntax("Expected FLAGS")
	}
	if err = r.SP(); err != nil {
		return s, err
	}
	if s.Flags, err = readStoreFlags(r); err != nil {
		return s, err
	}
	return s, r.End()
}

// readStoreFlags reads flags with or without parentheses.
func readStoreFlags(r *Reader) ([]string, error) {
	if r.Peek() == '(' {
		return r.Flags()
	}
	var fs []string
	for len(fs) < maxList {
		f, err := r.Flag()
		if err != nil {
			return nil, err
		}
		if fs = append(fs, f); !r.Byte(' ') {
			break
		}
	}
	return fs, nil
}

// Copy is the arguments of COPY, MOVE and their UID forms.
type Copy struct {
	Set     SeqSet
	Mailbox string
}

// ReadCopy reads COPY or MOVE.
func ReadCopy(r *Reader) (c Copy, err error) {
	if err = r.SP(); err != nil {
		return c, err
	}
	if c.Set, err = r.SeqSet(); err != nil {
		return c, err
	}
	if c.Mailbox, err = spMailbox(r); err != nil {
		return c, err
	}
	return c, r.End()
}

// ReadSet reads a command whose only argument is a sequence-set: UID EXPUNGE.
func ReadSet(r *Reader) (SeqSet, error) {
	if err := r.SP(); err != nil {
		return SeqSet{}, err
	}
	s, err := r.SeqSet()
	if err != nil {
		return s, err
	}
	return s, r.End()
}
