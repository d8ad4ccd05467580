package layout

import (
	"context"
	"strings"

	"rialto/internal/kv"
	"rialto/internal/model"
	"rialto/internal/store/content"
)

// maxReceiveClass is in octets (MS-OXCSTOR 2.2.1.2.1.1).
const maxReceiveClass = 255

// CheckReceiveClass refuses what is no message class.
func CheckReceiveClass(c string) error {
	bad := len(c) > maxReceiveClass || strings.HasPrefix(c, ".") || strings.HasSuffix(c, ".") || strings.Contains(c, "..")
	for _, r := range c {
		bad = bad || r < ' ' || r > '~'
	}
	if bad {
		return model.E("store.receivefolder", model.KindInvalid, c, nil)
	}
	return nil
}

// ReadReceive returns the receive folders of a mailbox by class, in lower case.
func ReadReceive(ctx context.Context, r kv.Reader, n Number) (map[string]FolderID, error) {
	out := map[string]FolderID{}
	p := n.Key(SubReceive)
	it := r.Scan(ctx, kv.Range{Lower: p, Upper: PrefixEnd(p)})
	for it.Next() {
		if v := it.Value(); len(v) == 7 {
			out[string(it.Key()[len(p):])] = FolderID(Get48(v[1:]))
		}
	}
	return out, content.Wrap("store.receivefolder", "mailbox", it.Close())
}
