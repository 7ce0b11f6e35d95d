#include "textflag.h"

// func add4AVX(y *float64, n int, x *float64, a *[4]float64)
// y[:n] += a[0]*x[:n] += a[1]*x[n:2n] … for n a multiple of 4; row r of x begins
// at x + 8*n*r. Products are rounded before they are added: no fused operation.
TEXT ·add4AVX(SB), NOSPLIT, $0-32
	MOVQ y+0(FP), DI
	MOVQ n+8(FP), CX
	MOVQ x+16(FP), SI
	MOVQ a+24(FP), DX
	VBROADCASTSD 0(DX), Y0
	VBROADCASTSD 8(DX), Y1
	VBROADCASTSD 16(DX), Y2
	VBROADCASTSD 24(DX), Y3
	LEAQ (SI)(CX*8), R8
	LEAQ (R8)(CX*8), R9
	LEAQ (R9)(CX*8), R10
	XORQ AX, AX
	MOVQ CX, BX
	ANDQ $-8, BX // two vectors at a time
pair:
	CMPQ AX, BX
	JGE  single
	VMOVUPD (DI)(AX*8), Y4
	VMOVUPD 32(DI)(AX*8), Y5
	VMULPD (SI)(AX*8), Y0, Y6
	VMULPD 32(SI)(AX*8), Y0, Y7
	VADDPD Y6, Y4, Y4
	VADDPD Y7, Y5, Y5
	VMULPD (R8)(AX*8), Y1, Y6
	VMULPD 32(R8)(AX*8), Y1, Y7
	VADDPD Y6, Y4, Y4
	VADDPD Y7, Y5, Y5
	VMULPD (R9)(AX*8), Y2, Y6
	VMULPD 32(R9)(AX*8), Y2, Y7
	VADDPD Y6, Y4, Y4
	VADDPD Y7, Y5, Y5
	VMULPD (R10)(AX*8), Y3, Y6
	VMULPD 32(R10)(AX*8), Y3, Y7
	VADDPD Y6, Y4, Y4
	VADDPD Y7, Y5, Y5
	VMOVUPD Y4, (DI)(AX*8)
	VMOVUPD Y5, 32(DI)(AX*8)
	ADDQ $8, AX
	JMP  pair
single:
	CMPQ AX, CX
	JGE  done
	VMOVUPD (DI)(AX*8), Y4
	VMULPD (SI)(AX*8), Y0, Y6
	VADDPD Y6, Y4, Y4
	VMULPD (R8)(AX*8), Y1, Y6
	VADDPD Y6, Y4, Y4
	VMULPD (R9)(AX*8), Y2, Y6
	VADDPD Y6, Y4, Y4
	VMULPD (R10)(AX*8), Y3, Y6
	VADDPD Y6, Y4, Y4
	VMOVUPD Y4, (DI)(AX*8)
	ADDQ $4, AX
	JMP  single
done:
	VZEROUPPER
	RET
