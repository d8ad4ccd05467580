package imap

// ReadNone reads the end of a command without arguments: CAPABILITY, NOOP,
// LOGOUT, IDLE, CHECK, CLOSE, UNSELECT, EXPUNGE, STARTTLS, NAMESPACE.
func ReadNone(r *Reader) error { return r.End() }

// Login is the arguments of LOGIN.
type Login struct{ User, Password string }

// ReadLogin reads LOGIN (RFC 9051 6.2.3).
func ReadLogin(r *Reader) (Login, error) {
	ss, err := ReadStrings(r, 2, 2)
	if err != nil {
		return Login{}, err
	}
	return Login{ss[0], ss[1]}, nil
}

// ReadStrings reads from min to max astrings: the arguments of GETQUOTA, MYRIGHTS
// and others of that form.
func ReadStrings(r *Reader, min, max int) ([]string, error) {
	var ss []string
	for len(ss) < max && (len(ss) < min || r.Peek() == ' ') {
		if err := r.SP(); err != nil {
			return nil, err
		}
		s, err := r.AString()
		if err != nil {
			return nil, err
		}
		ss = append(ss, s)
	}
	return ss, r.End()
}

// Authenticate is the arguments of AUTHENTICATE. Initial is the initial response
// in base64 as sent, "=" standing for an empty one (RFC 4959).
type Authenticate struct {
	Mechanism  string // upper case
	Initial    string
	HasInitial bool
}

// ReadAuthenticate reads AUTHENTICATE.
func ReadAuthenticate(r *Reader) (a Authenticate, err error) {
	if err = r.SP(); err != nil {
		return a, err
	}
	if a.Mechanism, err = r.Keyword(); err != nil {
		return a, err
	}
	if r.Byte(' ') {
		a.Initial, a.HasInitial = r.run(isAStringChar), true
	}
	return a, r.End()
}

// Select is the arguments of SELECT and EXAMINE.
type Select struct {
	Mailbox   string
	CondStore bool
	QResync   *QResync
}

// QResync is what a client knows of a mailbox (RFC 7162 3.2.5).
type QResync struct {
	UIDValidity uint32
	ModSeq      uint64
	Known       SeqSet // of UIDs; empty if not given
	MatchSeq    SeqSet
	MatchUID    SeqSet
}

// ReadSelect reads SELECT or EXAMINE with the parameters of RFC 7162.
func ReadSelect(r *Reader) (s Select, err error) {
	if s.Mailbox, err = spMailbox(r); err != nil {
		return s, err
	}
	if r.Byte(' ') {
		err = r.List(func() error {
			switch k, err := r.Keyword(); {
			case err != nil:
				return err
			case k == "CONDSTORE":
				s.CondStore = true
				return nil
			case k == "QRESYNC":
				s.CondStore = true
				s.QResync, err = readQResync(r)
				return err
			default:
				return syntax("Unknown parameter")
			}
		})
		if err != nil {
			return s, err
		}
	}
	return s, r.End()
}

func readQResync(r *Reader) (*QResync, error) {
	q := new(QResync)
	if err := r.SP(); err != nil {
		return nil, err
	}
	n := 0
	err := r.List(func() (err error) {
		switch n++; {
		case n == 1:
			q.UIDValidity, err = r.Number32()
		case n == 2:
			q.ModSeq, err = r.Number()
		case n == 3 && r.Peek() != '(':
			q.Known, err = r.SeqSet()
		case n <= 4 && r.Byte('('):
			if q.MatchSeq, err = r.SeqSet(); err == nil {
				if err = r.SP(); err == nil {
					q.MatchUID, err = r.SeqSet()
				}
			}
			if err == nil && !r.Byte(')') {
				err = syntax("Expected )")
			}
		default:
			err = syntax("Bad QRESYNC")
		}
		return err
	})
	if err == nil && n < 2 {
		err = syntax("Bad QRESYNC")
	}
	return q, err
}

func spMailbox(r *Reader) (string, error) {
	if err := r.SP(); err != nil {
		return "", err
	}
	return r.Mailbox()
}

// ReadMailbox reads a command whose only argument is a mailbox: DELETE,
// SUBSCRIBE, UNSUBSCRIBE, GETQUOTAROOT, MYRIGHTS.
func ReadMailbox(r *Reader) (string, error) {
	m, err := spMailbox(r)
	if err != nil {
		return "", err
	}
	return m, r.End()
}

// Create is the arguments of CREATE; Use are special uses (RFC 6154), "\Sent".
type Create struct {
	Mailbox string
	Use     []string
}

// ReadCreate reads CREATE.
func ReadCreate(r *Reader) (c Create, err error) {
	if c.Mailbox, err = spMailbox(r); err != nil {
		return c, err
	}
	if r.Byte(' ') {
		err = r.List(func() error {
			if k, err := r.Keyword(); err != nil || k != "USE" {
				return syntax("Unknown parameter")
			}
			if err := r.SP(); err != nil {
				return err
			}
			c.Use, err = r.Flags()
			return err
		})
		if err != nil {
			return c, err
		}
	}
	return c, r.End()
}

// Rename is the arguments of RENAME.
type Rename struct{ From, To string }

// ReadRename reads RENAME.
func ReadRename(r *Reader) (n Rename, err error) {
	if n.From, err = spMailbox(r); err != nil {
		return n, err
	}
	if n.To, err = spMailbox(r); err != nil {
		return n, err
	}
	return n, r.End()
}

// ReadEnable reads ENABLE: capability names in upper case.
func ReadEnable(r *Reader) ([]string, error) {
	var caps []string
	for len(caps) < maxList && (len(caps) == 0 || r.Peek() == ' ') {
		if err := r.SP(); err != nil {
			return nil, err
		}
		c, err := r.Keyword()
		if err != nil {
			return nil, err
		}
		caps = append(caps, c)
	}
	return caps, r.End()
}

// IDField is a pair of ID (RFC 2971).
type IDField struct{ Name, Value string }

// ReadID reads ID; nil for NIL.
func ReadID(r *Reader) ([]IDField, error) {
	if err := r.SP(); err != nil {
		return nil, err
	}
	var fs []IDField
	if r.Peek() != '(' {
		if _, present, err := r.NString(); err != nil || present {
			return nil, syntax("Expected a list or NIL")
		}
		return nil, r.End()
	}
	err := r.List(func() error {
		name, err := r.String()
		if err != nil {
			return err
		}
		if err := r.SP(); err != nil {
			return err
		}
		value, _, err := r.NString()
		fs = append(fs, IDField{name, value})
		return err
	})
	if err != nil {
		return nil, err
	}
	return fs, r.End()
}
