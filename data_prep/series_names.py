"""What tells the low-dose series of a DICOM patient from its normal-dose partner."""

import dataclasses

from data_prep.errors import InputError

LOW, NORMAL = "low-dose", "normal-dose"


@dataclasses.dataclass(frozen=True)
class SeriesNames:
    """How the two series of a patient are distinguished: by folder (Mayo) or by SeriesDescription (TCIA).

    A description matches where it occurs in the SeriesDescription, in small or capital letters.
    """

    low_dose_folder: str = "quarter_3mm"
    normal_dose_folder: str = "full_3mm"
    low_dose_description: str = "Low Dose Images"
    normal_dose_description: str = "Full Dose Images"

    def role(self, description: str) -> str | None:
        """LOW, NORMAL or None, for one SeriesDescription.

        Raises:
          InputError: both match.
        """
        wanted = {LOW: self.low_dose_description, NORMAL: self.normal_dose_description}
        roles = [role for role, text in wanted.items() if text.lower() in description.lower()]
        if len(roles) > 1:
            raise InputError(
                f"low_dose_description={self.low_dose_description!r} and normal_dose_description="
                f"{self.normal_dose_description!r} both match the series {description!r}; say more of each"
            )
        return roles[0] if roles else None


BY_DEFAULT = SeriesNames()
