package store

import "rialto/internal/store/layout"

// The words of the store are those of its rows: package layout defines them, and
// here they have the names that users of the store know.
type (
	Seq       = layout.Seq
	FolderID  = layout.FolderID
	RowID     = layout.RowID
	OID       = layout.OID
	MID       = layout.MID
	UID       = layout.UID
	UIDSet    = layout.UIDSet
	UIDRange  = layout.UIDRange
	ReplicaID = layout.ReplicaID
	CN        = layout.CN
	Space     = layout.Space
	Place     = layout.Place

	Header      = layout.Header
	Maintenance = layout.Maintenance
	Folder      = layout.Folder
	Counts      = layout.Counts
	Replica     = layout.Replica
	Rights      = layout.Rights
	Permission  = layout.Permission

	State         = layout.State
	Foreign       = layout.Foreign
	Flags         = layout.Flags
	Brief         = layout.Brief
	ItemRow       = layout.ItemRow
	Summary       = layout.Summary
	Bag           = layout.Bag
	StreamRef     = layout.StreamRef
	AttachmentRow = layout.AttachmentRow
	Stream        = layout.Stream
	Truth         = layout.Truth
	Rendering     = layout.Rendering
	RenderingKind = layout.RenderingKind

	Limits       = layout.Limits
	OutboxID     = layout.OutboxID
	Outgoing     = layout.Outgoing
	OutgoingKind = layout.OutgoingKind
	Party        = layout.Party

	Change       = layout.Change
	ChangeKind   = layout.ChangeKind
	SearchState  = layout.SearchState
	SearchMember = layout.SearchMember
)

// The spaces of a folder.
const (
	Normal     = layout.Normal
	Associated = layout.Associated
	Deleted    = layout.Deleted
)

// Folders that every mailbox has.
const (
	FolderRoot           = layout.FolderRoot
	FolderSubtree        = layout.FolderSubtree
	FolderInbox          = layout.FolderInbox
	FolderOutbox         = layout.FolderOutbox
	FolderSentItems      = layout.FolderSentItems
	FolderDeletedItems   = layout.FolderDeletedItems
	FolderCalendar       = layout.FolderCalendar
	FolderContacts       = layout.FolderContacts
	FolderJournal        = layout.FolderJournal
	FolderNotes          = layout.FolderNotes
	FolderTasks          = layout.FolderTasks
	FolderDrafts         = layout.FolderDrafts
	FolderJunk           = layout.FolderJunk
	FolderViews          = layout.FolderViews
	FolderCommonViews    = layout.FolderCommonViews
	FolderFinder         = layout.FolderFinder
	FolderSchedule       = layout.FolderSchedule
	FolderShortcuts      = layout.FolderShortcuts
	FolderDeferredAction = layout.FolderDeferredAction
	FolderReminders      = layout.FolderReminders
	FolderSpoolerQueue   = layout.FolderSpoolerQueue
)

// The flags. Read ticks ReadCN; DeletedMark only Seq; the others CN. See the
// package comment.
const (
	Read           = layout.Read
	Answered       = layout.Answered
	Flagged        = layout.Flagged
	DeletedMark    = layout.DeletedMark
	Draft          = layout.Draft
	Forwarded      = layout.Forwarded
	ReceiptSent    = layout.ReceiptSent
	HasAttachments = layout.HasAttachments
)

// The truths.
const (
	TruthMIME  = layout.TruthMIME
	TruthMAPI  = layout.TruthMAPI
	TruthICal  = layout.TruthICal
	TruthVCard = layout.TruthVCard
)

// The renderings.
const (
	RenderingMIME  = layout.RenderingMIME
	RenderingICal  = layout.RenderingICal
	RenderingVCard = layout.RenderingVCard
)

// The kinds of log entries.
const (
	ChangeItem     = layout.ChangeItem
	ChangeGone     = layout.ChangeGone
	ChangeFolder   = layout.ChangeFolder
	ChangeCounts   = layout.ChangeCounts
	ChangeNoFolder = layout.ChangeNoFolder
)

// The kinds of outgoing mail.
const (
	SendForward  = layout.SendForward
	SendAttached = layout.SendAttached
	SendRedirect = layout.SendRedirect
	SendReply    = layout.SendReply
	SendOOF      = layout.SendOOF
	SendBounce   = layout.SendBounce
	SendQuota    = layout.SendQuota
	SendNotice   = layout.SendNotice
)

// OwnReplica is the replica under which a mailbox numbers its own changes.
const OwnReplica = layout.OwnReplica

// Members that every folder has.
const (
	MemberDefault   = layout.MemberDefault
	MemberAnonymous = layout.MemberAnonymous
)

// UIDs makes a set of single UIDs, which must ascend.
func UIDs(us ...UID) UIDSet { return layout.UIDs(us...) }

// FoldName returns the form in which two folder names are the same name.
func FoldName(name string) string { return layout.FoldName(name) }

// ObjectName returns the textual name of an item or folder that protocols hand
// to clients (EMAILID, MAILBOXID, UIDL): letters and digits only, the same for
// ever, distinct between incarnations of the mailbox.
func ObjectName(kind byte, incarnation uint32, id uint64) string {
	return layout.ObjectName(kind, incarnation, id)
}

// ParseObjectName is the reverse of ObjectName.
func ParseObjectName(s string) (kind byte, incarnation uint32, id uint64, err error) {
	return layout.ParseObjectName(s)
}
