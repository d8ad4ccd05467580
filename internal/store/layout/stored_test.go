package layout

import (
	"encoding/hex"
	"testing"
	"time"

	"rialto/internal/mapi"
	"rialto/internal/model"
)

// TestStoredForm pins keys and rows: they are in databases that exist.
func TestStoredForm(t *testing.T) {
	const m = Number(0x01020304)
	guid := model.GUID{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	place := Place{Folder: 3, Space: Deleted, N: 300}
	name := mapi.PropertyName{Set: guid, Name: "color"}
	summary, _ := (&Summary{Props: mapi.Properties{{Tag: mapi.TagSubject, Value: "é"}}, Envelope: []byte("env")}).Encode(nil)
	bag, _ := EncodeBag(mapi.Properties{{Tag: mapi.TagSubject, Value: "s"}}, []StreamRef{{Tag: mapi.TagBody, Content: 7, Size: 9}})
	recips, _ := EncodeRecipients([]mapi.Properties{{{Tag: mapi.TagDisplayName, Value: "Bob"}}})
	state := &State{Place: place, Flags: Read | HasAttachments, Seq: 7, CN: CN{1, 7}, ReadCN: CN{2, 6}, Created: 5, Row: 300, OID: 301, MID: 302, Size: 99,
		Time: now, Deleted: now, Origin: 4, Creator: []byte{1, 5}, Keywords: []string{"a", "b"}}
	long := *state
	long.Modified, long.Foreign = now, Foreign{SourceKey: []byte("s"), ChangeKey: []byte("c"), PCL: []byte("p"), Href: "h"}
	for what, got := range map[string][]byte{
		"key of counters":      m.Key(SubCounters),
		"key of a place":       m.Place(SubState, place),
		"key of an OID":        m.ID(SubByOID, 300),
		"key of a message id":  m.Hashed(SubByMessageID, MessageIDHash("<a@b>"), 300),
		"key of a log entry":   m.LogKey(7, ChangeFolder),
		"key of a folder log":  m.FolderLogAt(3, 7),
		"key of a child":       m.ChildName(2, "Inbox"),
		"key of a source key":  m.SourceKey([]byte("k")),
		"key of an attachment": m.Attachment(300, 2),
		"key of a time":        m.ByTime(3, 9, 300),
		"key of a recipient":   m.RecipientRow(300, 1),
		"key of a device":      m.DeviceRow(guid, guid, 1, 2),
		"key of a name":        m.PropByName(name),
		"key of an answer":     m.OOFSent(model.Address{Local: "A", Domain: "b.test"}, 5),
		"key of a read state":  m.ReadState(guid, 3),
		"key of a rendering":   m.Rendering(300, RenderingICal),
		"key of reserved ids":  m.ReservedMID(300),
		"key of a mark":        m.Mark(now),
		"key of a rule":        m.Rule(3, 9),
		"key of a member":      m.Member(3, 300),
		"key of a delivery":    DeliveredKey("q", "a@b"),
		"key of the outbox":    OutboxKey(5),
		"key of a mailbox":     MailboxDirKey(guid),
		"state":                state.Encode(nil),
		"long state":           long.Encode(nil),
		"summary":              summary,
		"stream":               (&Stream{Truth: TruthMIME, Content: 9, Size: 5, Trace: []byte("t"), Structure: []byte("s")}).Encode(nil),
		"stream with evidence": (&Stream{Truth: TruthMAPI, Evidence: 9}).Encode(nil),
		"folder":               (&Folder{Parent: 2, Name: "Inbox", Class: "IPF.Note", Subscribed: true, UIDValidity: 8, Seq: 4, CN: CN{1, 4}, Created: now}).Encode(),
		"counts":               (&Counts{Total: 1, Unseen: 1, FirstUnseen: 1, Size: 5, Associated: 2, Deleted: 3, DeletedSize: 6, NextUID: 2, Seq: 9}).Encode(),
		"change":               (&Change{Folder: 3, From: 2, UID: 4, OID: 5, MID: 6, Row: 7, Associated: true, Class: "IPM.Note", Created: 8, Href: "x"}).Encode(),
		"header":               (&Header{GUID: guid, ReplGUID: guid, Incarnation: 2, DisplayName: "a", Created: now}).Encode(),
		"counters":             (&Counters{Validity: 9}).Encode(1024, 2048),
		"place":                EncodePlace(place),
		"time":                 EncodeTimed(9),
		"bag":                  bag,
		"recipients":           recips[0],
		"attachment":           (&LeafAttachment{Content: 9, Size: 5, Props: []byte("p")}).Encode(300),
		"name":                 EncodeName(name),
		"permissions":          (&ACL{Next: 2, Entries: []Permission{{Member: 1, SID: []byte{1}, Name: "n", Rights: 0x401}}}).Encode(),
		"search":               (&SearchState{Position: 5, Filling: place, Busy: true, Changes: 2, Total: 3, Unseen: 1}).Encode(),
		"rendering":            (&Rendering{Stream: Stream{Truth: TruthMIME, Content: 9, Size: 5}, Envelope: []byte("e")}).Encode(),
		"outgoing":             (&Outgoing{Kind: SendReply, Mailbox: guid, Owner: Party{Name: "A"}, To: []Party{{Name: "B"}}, Created: now, Text: "t", HTML: true, Content: 9, Size: 5}).Encode(),
		"directory":            DirEntry(DirWhole, m),
		"folder reference":     FolderRef(3),
		"horizon":              HorizonRow(7),
		"maintenance":          (&Maintenance{Began: now, After: guid, Items: 300, Octets: 1 << 40}).Encode(),
	} {
		want, ok := storedForm[what]
		if g := hex.EncodeToString(got); !ok || g != want {
			t.Errorf("%q: %q,", what, g)
		}
	}
}

// storedForm is in hexadecimal.
var storedForm = map[string]string{
	"attachment":           "020905ac0270",
	"bag":                  "02011000001f07090100010037001f0173",
	"change":               "0103020405060701080849504d2e4e6f74650178",
	"counters":             "018008801009",
	"counts":               "01010101050203060209",
	"directory":            "0401020304",
	"folder reference":     "01000000000003",
	"folder":               "010205496e626f78084950462e4e6f7465020804010480c0daff8fcfdeee01",
	"header":               "010102030405060708090a0b0c0d0e0f100102030405060708090a0b0c0d0e0f1002016180c0daff8fcfdeee0100",
	"horizon":              "010000000000000007",
	"key of a child":       "100102030407000000000002caadbcffec9038112a5642fc15e5aa67",
	"key of a delivery":    "09c02a651e51375b360707c833ba625439",
	"key of a device":      "1001020304230102030405060708090a0b0c0d0e0f100102030405060708090a0b0c0d0e0f10010002",
	"key of a folder log":  "1001020304210000000000030000000000000007",
	"key of a log entry":   "100102030420000000000000000701",
	"key of a mailbox":     "020102030405060708090a0b0c0d0e0f10",
	"key of a mark":        "1001020304220000000000000101dd7a78fff6a000",
	"key of a member":      "1001020304280000000000030200000000012c",
	"key of a message id":  "10010203041b7508d8b5018ea640b85269861a10120300000000012c",
	"key of a name":        "100102030404606c1f4282e2f9be711c054a90cc68e4",
	"key of a place":       "1001020304100000000000030200000000012c",
	"key of a read state":  "1001020304250102030405060708090a0b0c0d0e0f10000000000003",
	"key of a recipient":   "10010203041300000000012c0001",
	"key of a rendering":   "10010203042a00000000012c02",
	"key of a rule":        "100102030429000000000003000000000009",
	"key of a source key":  "10010203041a8254c329a92850f6d539dd376f4816ee",
	"key of a time":        "10010203041d000000000003000000000000000900000000012c",
	"key of an OID":        "10010203041800000000012c",
	"key of an answer":     "10010203042b0ec6952056ebf764da2fc1375e928edf",
	"key of an attachment": "10010203041400000000012c00000002",
	"key of counters":      "100102030401",
	"key of reserved ids":  "10010203042c000100000000012c",
	"key of the outbox":    "080000000000000005",
	"long state":           "028101070107020605ac02ad02ae026380c0daff8fcfdeee0180c0daff8fcfdeee0104020105020161016280c0daff8fcfdeee010173016301700168",
	"maintenance":          "0280c0daff8fcfdeee01000102030405060708090a0b0c0d0e0f1000ac020000000080808080802000",
	"name":                 "010102030405060708090a0b0c0d0e0f100005636f6c6f72",
	"outgoing":             "01040102030405060708090a0b0c0d0e0f100141000000000080c0daff8fcfdeee01000001740100000000000905000101420000",
	"permissions":          "010201010101016e8108",
	"place":                "0000000000030200000000012c",
	"recipients":           "01010b0100013001001f03426f62",
	"rendering":            "010165010109050000",
	"search":               "0101050302ac02020301",
	"state":                "018101070107020605ac02ad02ae026380c0daff8fcfdeee0180c0daff8fcfdeee01040201050201610162",
	"stream with evidence": "02090200000000",
	"stream":               "0101090501740173",
	"summary":              "0103656e760100010037001f02c3a9",
	"time":                 "01000000000009",
}
