package mapi

// Tags in use (MS-OXPROPS section 2; the comment names the canonical property).
const (
	TagImportance              = Tag(0x00170003) // PidTagImportance: 0 low, 1 normal, 2 high
	TagMessageClass            = Tag(0x001A001F) // PidTagMessageClass
	TagSensitivity             = Tag(0x00360003) // PidTagSensitivity: 0 none … 3 confidential
	TagSubject                 = Tag(0x0037001F) // PidTagSubject
	TagSubjectPrefix           = Tag(0x003D001F) // PidTagSubjectPrefix
	TagClientSubmitTime        = Tag(0x00390040) // PidTagClientSubmitTime
	TagSentRepresentingName    = Tag(0x0042001F) // PidTagSentRepresentingName
	TagSentRepresentingAddress = Tag(0x0065001F) // PidTagSentRepresentingEmailAddress
	TagConversationTopic       = Tag(0x0070001F) // PidTagConversationTopic
	TagConversationIndex       = Tag(0x00710102) // PidTagConversationIndex
	TagTransportHeaders        = Tag(0x007D001F) // PidTagTransportMessageHeaders
	TagRecipientType           = Tag(0x0C150003) // PidTagRecipientType: 1 To, 2 Cc, 3 Bcc
	TagSenderName              = Tag(0x0C1A001F) // PidTagSenderName
	TagSenderAddressType       = Tag(0x0C1E001F) // PidTagSenderAddressType
	TagSenderAddress           = Tag(0x0C1F001F) // PidTagSenderEmailAddress
	TagDisplayBcc              = Tag(0x0E02001F) // PidTagDisplayBcc
	TagDisplayCc               = Tag(0x0E03001F) // PidTagDisplayCc
	TagDisplayTo               = Tag(0x0E04001F) // PidTagDisplayTo
	TagMessageDeliveryTime     = Tag(0x0E060040) // PidTagMessageDeliveryTime
	TagMessageFlags            = Tag(0x0E070003) // PidTagMessageFlags
	TagMessageSize             = Tag(0x0E080003) // PidTagMessageSize
	TagHasAttachments          = Tag(0x0E1B000B) // PidTagHasAttachments
	TagNormalizedSubject       = Tag(0x0E1D001F) // PidTagNormalizedSubject
	TagAttachNumber            = Tag(0x0E210003) // PidTagAttachNumber
	TagBody                    = Tag(0x1000001F) // PidTagBody
	TagBodyHTML                = Tag(0x10130102) // PidTagHtml
	TagInternetMessageID       = Tag(0x1035001F) // PidTagInternetMessageId
	TagInternetReferences      = Tag(0x1039001F) // PidTagInternetReferences
	TagInReplyToID             = Tag(0x1042001F) // PidTagInReplyToId
	TagIconIndex               = Tag(0x10800003) // PidTagIconIndex
	TagFlagStatus              = Tag(0x10900003) // PidTagFlagStatus: 2 flagged
	TagDisplayName             = Tag(0x3001001F) // PidTagDisplayName
	TagAddressType             = Tag(0x3002001F) // PidTagAddressType
	TagEmailAddress            = Tag(0x3003001F) // PidTagEmailAddress
	TagComment                 = Tag(0x3004001F) // PidTagComment
	TagCreationTime            = Tag(0x30070040) // PidTagCreationTime
	TagLastModificationTime    = Tag(0x30080040) // PidTagLastModificationTime
	TagConversationID          = Tag(0x30130102) // PidTagConversationId, 16 bytes
	TagContainerClass          = Tag(0x3613001F) // PidTagContainerClass
	TagAttachDataBinary        = Tag(0x37010102) // PidTagAttachDataBinary
	TagAttachFilename          = Tag(0x3704001F) // PidTagAttachFilename
	TagAttachMethod            = Tag(0x37050003) // PidTagAttachMethod
	TagAttachLongFilename      = Tag(0x3707001F) // PidTagAttachLongFilename
	TagAttachMimeTag           = Tag(0x370E001F) // PidTagAttachMimeTag
	TagSMTPAddress             = Tag(0x39FE001F) // PidTagSmtpAddress
	TagPreview                 = Tag(0x3FD9001F) // PidTagPreview: first characters of the body
	TagInternetCodepage        = Tag(0x3FDE0003) // PidTagInternetCodepage
)

// Bits of PidTagMessageFlags (MS-OXCMSG 2.2.1.6).
const (
	MessageFlagRead       = 0x01
	MessageFlagUnmodified = 0x02
	MessageFlagSubmitted  = 0x04
	MessageFlagUnsent     = 0x08
	MessageFlagHasAttach  = 0x10
	MessageFlagFromMe     = 0x20
	MessageFlagAssociated = 0x40
	MessageFlagResend     = 0x80
)
