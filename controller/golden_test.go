package controller

// goldenDigests are those of a search of 25 trials; see TestArithmeticIsWhatItWas.
var goldenDigests = map[string]string{
	PPO:       "7f07d3df1f7407ffa4ac203c567a10645a6bc23cf3975021b1088393fae7c83b",
	REINFORCE: "5f655a1829b88e9b2fe65e1ba532e042ce1ab15ad721fec50d90750644ede714",
	Random:    "c39df4e759870d9ab640c58cb7829754891ef80708aed9da33c9312fc866f943",
	Evolution: "5473c71254f164ffdee4514a9b78f129d774fa305fa082a7de4ca8bd9d77a79c",
}
