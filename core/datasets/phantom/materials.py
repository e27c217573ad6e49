"""Linear attenuation coefficients near 60 keV, per mm: the mass coefficients of NIST times the density.

J. H. Hubbell and S. M. Seltzer, X-Ray Mass Attenuation Coefficients, NISTIR 5632, https://physics.nist.gov/PhysRefData/XrayMassCoef/
(the numbers of XCOM). A real tube sends a whole spectrum; one energy is the usual simplification.
"""

SOFT = 0.0206         # muscle, water and the like
FAT = 0.0188          # fat and yellow marrow
CORTEX = 0.0604       # cortical bone, 1.92 g/cm3
SPONGY = 0.0300       # a quarter bone, three quarters marrow, by volume
LUNG = 0.0054         # inflated lung, 0.26 g/cm3
TITANIUM = 0.345
STEEL = 0.95
LEAD = 5.70          # letters that the radiographer lays on the plate
