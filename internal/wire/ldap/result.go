package ldap

import "fmt"

// ResultCode is an LDAP result, RFC 4511 4.1.9 and later.
type ResultCode int32

// The codes servers and clients here use.
const (
	Success                      ResultCode = 0
	OperationsError              ResultCode = 1
	ProtocolError                ResultCode = 2
	TimeLimitExceeded            ResultCode = 3
	SizeLimitExceeded            ResultCode = 4
	CompareFalse                 ResultCode = 5
	CompareTrue                  ResultCode = 6
	AuthMethodNotSupported       ResultCode = 7
	StrongerAuthRequired         ResultCode = 8
	Referral                     ResultCode = 10
	AdminLimitExceeded           ResultCode = 11
	UnavailableCriticalExtension ResultCode = 12
	ConfidentialityRequired      ResultCode = 13
	SASLBindInProgress           ResultCode = 14
	NoSuchAttribute              ResultCode = 16
	UndefinedAttributeType       ResultCode = 17
	InappropriateMatching        ResultCode = 18
	ConstraintViolation          ResultCode = 19
	AttributeOrValueExists       ResultCode = 20
	InvalidAttributeSyntax       ResultCode = 21
	NoSuchObject                 ResultCode = 32
	AliasProblem                 ResultCode = 33
	InvalidDNSyntax              ResultCode = 34
	AliasDereferencingProblem    ResultCode = 36
	InappropriateAuthentication  ResultCode = 48
	InvalidCredentials           ResultCode = 49
	InsufficientAccessRights     ResultCode = 50
	Busy                         ResultCode = 51
	Unavailable                  ResultCode = 52
	UnwillingToPerform           ResultCode = 53
	LoopDetect                   ResultCode = 54
	SortControlMissing           ResultCode = 60
	OffsetRangeError             ResultCode = 61
	NamingViolation              ResultCode = 64
	ObjectClassViolation         ResultCode = 65
	NotAllowedOnNonLeaf          ResultCode = 66
	NotAllowedOnRDN              ResultCode = 67
	EntryAlreadyExists           ResultCode = 68
	ObjectClassModsProhibited    ResultCode = 69
	AffectsMultipleDSAs          ResultCode = 71
	VLVError                     ResultCode = 76
	Other                        ResultCode = 80
	Canceled                     ResultCode = 118
)

// String returns the RFC's name of the code.
func (c ResultCode) String() string {
	switch c {
	case Success:
		return "success"
	case OperationsError:
		return "operationsError"
	case ProtocolError:
		return "protocolError"
	case TimeLimitExceeded:
		return "timeLimitExceeded"
	case SizeLimitExceeded:
		return "sizeLimitExceeded"
	case CompareFalse:
		return "compareFalse"
	case CompareTrue:
		return "compareTrue"
	case StrongerAuthRequired:
		return "strongerAuthRequired"
	case Referral:
		return "referral"
	case NoSuchAttribute:
		return "noSuchAttribute"
	case ConstraintViolation:
		return "constraintViolation"
	case NoSuchObject:
		return "noSuchObject"
	case InvalidDNSyntax:
		return "invalidDNSyntax"
	case InvalidCredentials:
		return "invalidCredentials"
	case InsufficientAccessRights:
		return "insufficientAccessRights"
	case Busy:
		return "busy"
	case Unavailable:
		return "unavailable"
	case UnwillingToPerform:
		return "unwillingToPerform"
	case EntryAlreadyExists:
		return "entryAlreadyExists"
	}
	return fmt.Sprintf("result %d", int32(c))
}
