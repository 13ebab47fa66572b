package service

import (
	"testing"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
)

// Each result code of the contract has the name of KooDrive's code. Other texts are not listed.
func TestResultCodes(t *testing.T) {
	for code, want := range map[string]taskv1.ResultCode{
		"18000205": taskv1.ResultCode_RESULT_CODE_KOODRIVE_18000205,

		"": taskv1.ResultCode_RESULT_CODE_UNSPECIFIED, "0": taskv1.ResultCode_RESULT_CODE_UNSPECIFIED,
		"18000999": taskv1.ResultCode_RESULT_CODE_UNSPECIFIED, "18000205\n": taskv1.ResultCode_RESULT_CODE_UNSPECIFIED,
		"0x112AAED": taskv1.ResultCode_RESULT_CODE_UNSPECIFIED, "18000205.0": taskv1.ResultCode_RESULT_CODE_UNSPECIFIED,
		"4312967501": taskv1.ResultCode_RESULT_CODE_UNSPECIFIED, "KOODRIVE_18000205": taskv1.ResultCode_RESULT_CODE_UNSPECIFIED,
	} {
		if got := toResultCode(code); got != want {
			t.Errorf("%q is %v, want %v", code, got, want)
		}
	}
}
